"""Memory that was freed stays with the process. Refuses to overrule settings of the allocator that the user made.

The C library hands large blocks back to the system as soon as they are freed and is given fresh, zeroed pages for the
next ones. A network that encodes a batch frees and takes some fifty megabytes a layer, and on a virtual machine these
page faults can cost more than its arithmetic. Commands and their workers call this, since the process is theirs; the
library never does.
"""

from __future__ import annotations

import os

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt(3)
_MOST_KEPT = 1 << 28  # bytes of a block; larger ones still come and go, or fragments of them would add up
_USERS_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Tell glibc to keep blocks of up to 256 MiB for the next who needs one.

    Returns:
        Whether it was told: not where there is another C library, or where the user has set its thresholds.
    """
    if any(name in os.environ for name in _USERS_OWN) or not _is_glibc():
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _MOST_KEPT)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # no such name, or no such function
        return False
