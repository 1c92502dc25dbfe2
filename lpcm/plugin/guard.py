"""Watches what code does while it is being imported or tested: network, global random state, time.

Refuses connections while a guard is open; it never blocks sockets outside of one.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NETWORK_EVENTS = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto"}
)
_open_guards: list[list[str]] = []
_lock = threading.Lock()
_installed = False


class NetworkForbidden(ConnectionError):  # noqa: N818  (it reads as what happened)
    """A connection was tried where none is allowed."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _open_guards or event not in _NETWORK_EVENTS:
        return
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], str | bytes):
        return  # a Unix socket: worker processes talk through them
    target = repr(arguments[1] if event == "socket.connect" else arguments[0])
    for tried in _open_guards:
        tried.append(target)
    raise NetworkForbidden(f"tried to reach {target}: no network is allowed here")


@contextmanager
def forbid_network() -> Iterator[list[str]]:
    """Make every connection of this process fail inside the block.

    Yields the list of targets that were tried, so that an attempt is seen even when its error was swallowed.
    """
    global _installed
    with _lock:
        if not _installed:
            sys.addaudithook(_audit)  # cannot be taken away again, so it looks at `_open_guards` first
            _installed = True
        tried: list[str] = []
        _open_guards.append(tried)
    try:
        yield tried
    finally:
        with _lock:
            # By identity: two guards may hold equal lists.
            _open_guards[:] = [guard for guard in _open_guards if guard is not tried]


def random_states() -> dict[str, Any]:
    """States of the global generators of ``random``, numpy and torch, of those that are loaded."""
    states: dict[str, Any] = {"random": random.getstate()}
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        state = numpy.random.get_state(legacy=False)
        states["numpy.random"] = (state["state"]["key"].tobytes(), state["state"]["pos"], state["has_gauss"])
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states


def changed_generators(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the global generators whose state differs.

    A generator that was loaded in between is compared with a fresh load, which numpy and ``random`` seed
    from the system: only torch, whose default seed is fixed, can be judged then.
    """
    return [name for name, state in after.items() if name in before and before[name] != state]
