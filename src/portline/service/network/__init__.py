"""The network side of a connection: how peers come to be, and who is let in."""
