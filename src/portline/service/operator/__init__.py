"""Who sits at a connection on this machine, beside its peers: a person at a terminal."""
