"""Virtual ports with a device of their own in /dev, through CUSE (character devices in user space).

:mod:`wire` is the protocol, :mod:`ledger` sees to it that each request has one answer,
:mod:`reading` and :mod:`pollers` know what a terminal owes to those who wait, :mod:`requests` what
an ioctl asks; all of that is without I/O.  :mod:`channel` is /dev/cuse, :mod:`discipline` the
kernel's line discipline, :mod:`front` serves the applications, :mod:`port` is the serial port.
"""
