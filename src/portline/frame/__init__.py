"""What happens to the stream on its way: cut into packets, held to the speed of a line.  Pure."""
