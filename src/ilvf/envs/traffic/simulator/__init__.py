"""SUMO in child processes, and SUMO's tools."""
