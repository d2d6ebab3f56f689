"""Critics: from states, and actions, to values."""
