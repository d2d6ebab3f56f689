"""Actors: what turns observations into actions."""
