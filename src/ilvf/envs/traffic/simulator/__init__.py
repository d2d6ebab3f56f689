"""SUMO in a process of its own."""
