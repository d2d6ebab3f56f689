"""PettingZoo environments, in both directions."""
