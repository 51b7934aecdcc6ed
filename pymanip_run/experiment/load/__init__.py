"""Reading an experiment file and the other places of values: all that is wrong is told at once."""
