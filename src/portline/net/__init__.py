"""Sockets as links, and what makes them: listeners, dialers, endpoints."""
