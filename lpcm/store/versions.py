"""Versions of installed distributions, for addresses and rows. An absent one has a word of its own, not an error."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def version_of(distribution: str) -> str:
    """The installed version, or ``"absent"``.

    Example:
        >>> version_of("no-such-distribution")
        'absent'
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def versions_of(*distributions: str) -> dict[str, str]:
    """The version of each distribution, by name."""
    return {name: version_of(name) for name in distributions}
