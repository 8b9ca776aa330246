"""What makes a pseudo terminal pass for a real port to a program that Portline starts."""
