"""The device of `portline demo`."""
