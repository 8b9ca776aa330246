"""What is wrong with this machine for serial ports, and what mends it: a table of checks.

Theory of operation
-------------------
Each check is a function from a :class:`~portline.cli.diagnosis.machine.Machine` to findings, and
only reads: no port is opened, nobody is listened to, no folder made, no module loaded.  What a
check cannot see (a file of /proc that is not there, the programs of another user) it says nothing
about, unless that is what matters.  A further check is a further row of
:data:`~portline.cli.diagnosis.checks.CHECKS`.

A way to make virtual ports that is not possible here is a *note* and not wrong: the next way does.
"""
