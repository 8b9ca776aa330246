"""The network side: sockets as links, and listeners that make them."""
