"""Rollouts, minibatches, replay buffers and evaluation episodes."""
