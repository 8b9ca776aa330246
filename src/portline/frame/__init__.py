"""Packet rules: where the stream from the port is cut on its way to the network.  Pure."""
