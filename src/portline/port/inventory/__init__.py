"""Which ports this machine has, what they are called, and who holds them."""
