"""Influence found by a score test on the rollout; see `ScoreInfluence`."""
