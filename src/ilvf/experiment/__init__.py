"""Runs: configuration, command line, training, tracking."""
