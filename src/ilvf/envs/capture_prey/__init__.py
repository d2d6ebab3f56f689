"""Predator Capture Prey: some agents see, others capture."""
