"""The experiment file: its models, the places of its errors, and what is run from it."""
