"""Road networks: signals, phases, neighbours, distances and maps, read from SUMO's net files."""
