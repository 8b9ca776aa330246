"""Passwords: what is stored of them, the proof of both ends, and what guessing costs."""
