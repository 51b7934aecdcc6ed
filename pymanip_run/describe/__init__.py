"""Sessions in data that JSON can hold: a summary, what differs between two, what is new in one."""

from pymanip_run.describe.summary import Described, describe, is_healthy, plain

__all__ = ["Described", "describe", "is_healthy", "plain"]
