"""Watching a connection without touching it."""
