"""Studies: sets of runs that one yaml file describes, their execution and their statistics."""
