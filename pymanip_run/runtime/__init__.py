"""How a run runs: its tasks, their grid, sweeps, the stop, and the signals that ask for it."""
