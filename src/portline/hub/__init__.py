"""Who hears the port, who may speak to it, and what is kept for whom.  Pure."""
