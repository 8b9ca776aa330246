"""The process around a gateway: its signals, its limits, its log, and what outlives it."""
