"""Composition: configuration becomes connections, and connections become a service."""
