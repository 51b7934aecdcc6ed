"""Ports of this computer for servers in tests."""

import socket


def free_port():
    """A port of its own: a run that is tested beside must not get it when this one was killed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
