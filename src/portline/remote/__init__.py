"""A serial port of another machine as an object of a Python program."""
