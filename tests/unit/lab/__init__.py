"""The lab itself, without its machine."""
