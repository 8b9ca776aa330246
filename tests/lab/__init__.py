"""Tests in the lab, and of it."""
