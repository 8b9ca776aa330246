"""What is seen of a connection, and the files that keep it.  Pure: no I/O, no clock."""
