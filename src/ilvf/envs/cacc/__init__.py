"""CACC: platoons of vehicles that keep their distance."""
