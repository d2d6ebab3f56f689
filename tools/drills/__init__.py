"""The drills of `tools/drills.py`: each does something bad to the real program."""
