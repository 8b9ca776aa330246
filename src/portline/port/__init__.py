"""Local serial ports: real ones, virtual ones, and which there are."""
