"""Actors: from observations to actions."""
