"""Ports that this machine's kernel has: any tty, whatever is behind it."""
