"""How local programs look at a running Portline and change it."""
