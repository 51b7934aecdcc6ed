"""Mails about a run: what they say, when they are sent, and how they get to the server."""
