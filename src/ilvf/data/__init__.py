"""Rollouts, replay buffers and evaluation episodes."""
