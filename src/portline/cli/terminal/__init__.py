"""A terminal at a serial port: the keyboard, the screen, the places, and what joins them."""
