"""Plots: windows, PNG files, pictures in mails, and drawings in a terminal.

The only place that knows matplotlib. A run never draws in its own process: `display` starts a child,
the `painter`, and gives it what is recorded through a pipe.
"""
