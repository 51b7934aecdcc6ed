"""What concerns several keys of an experiment file at once."""
