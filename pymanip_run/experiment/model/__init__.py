"""The experiment file as strict models: every key, its meaning, its default."""
