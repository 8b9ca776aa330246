"""Datagrams: the sockets that all peers of a connection share, and one peer's as a link."""
