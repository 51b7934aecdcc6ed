"""The text of an experiment file: YAML in which everything has its place, and its errors."""
