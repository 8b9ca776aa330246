"""Tests that need the kernel of the lab (`make lab`)."""
