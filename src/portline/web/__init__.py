"""The page of a running Portline and its API over HTTP; little is imported where there is none."""
