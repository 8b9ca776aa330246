"""Local serial ports: real ones, virtual ones, and which there are.

Each way to have a port is a room of its own with a ``port.py`` that keeps the contract of
:mod:`portline.port.base`: ``tty`` (the kernel's), ``pty``, ``usbip``, ``cuse``.  ``programs`` makes
a pseudo terminal pass for more to a program that is started for it, ``names`` is where applications
find a virtual port, ``inventory`` is what this machine has.
"""
