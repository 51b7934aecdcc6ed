"""Alarms: conditions on logged variables."""
