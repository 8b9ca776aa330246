"""The local side of a connection: its port, when it is open, and what may be asked of it."""
