"""The published scenarios: the 25-signal grid and Monaco."""
