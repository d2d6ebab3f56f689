"""Road networks: signals, lanes, neighbours, maps."""
