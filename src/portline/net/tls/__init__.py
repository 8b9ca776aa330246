"""Encryption: a link over a link, its certificates, and who is trusted."""
