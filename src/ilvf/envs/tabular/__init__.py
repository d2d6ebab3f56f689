"""Small games given by tables, whose influence is known exactly."""
