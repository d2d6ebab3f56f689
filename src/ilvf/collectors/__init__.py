"""Rollouts from workers: other processes, of this machine or of others."""
