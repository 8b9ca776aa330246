"""What peers say, without I/O: raw bytes, and Telnet with RFC 2217."""
