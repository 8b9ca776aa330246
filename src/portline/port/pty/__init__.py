"""Virtual ports made of a pseudo terminal, which need no privilege."""
