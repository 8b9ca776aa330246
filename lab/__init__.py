"""A small virtual machine for the tests that need a real kernel: ``make lab``."""
