"""The page of a running Portline, and its API over HTTP; nothing is imported where there is none."""
