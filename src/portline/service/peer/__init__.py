"""One peer of a connection: its session, what it waits for, and what becomes of it when it goes."""
