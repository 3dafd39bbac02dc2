"""Ports to listen on that stay free while nobody listens there: a bot comes back to its own.

A port that the system gave could be given to somebody's connection meanwhile. None of these is in
the range that Linux (32768 to 60999) and others (from 49152, RFC 6335) give connections from.
"""

import random
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
LOWEST, HIGHEST = 10_000, 32_767


def free(number: int = 1) -> list[int]:
    """Return so many ports on which nobody listens, none of them twice."""
    found = list[int]()
    with ExitStack() as held:
        while len(found) < number:
            port = random.SystemRandom().randint(LOWEST, HIGHEST)
            try:
                held.enter_context(socket.create_server((HOST, port)))
            except OSError:
                continue
            found.append(port)
    return found
