"""Everything that writes, finds, reads and resumes checkpoints."""
