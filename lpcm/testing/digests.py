"""What checks of digests share: how one looks, and files that seem to have another content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lpcm.store.files import FileDigests
from lpcm.testing.subject import expect

_DIGEST = re.compile(r"[0-9a-f]{16,}\Z")


def expect_digest(value: Any, what: str) -> None:
    """Expect 16 or more hexadecimal digits."""
    expect(
        isinstance(value, str) and _DIGEST.match(value),
        f"{what} is {value!r}: expected 16 or more hex digits",
    )


class OtherFiles(FileDigests):
    """Answers as if every file on disk had another content.

    Attributes:
        asked: how many files were asked for.
    """

    asked = 0

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """Digests that are those of no file here."""
        self.asked += len(paths)
        return [digest[::-1] for digest in super().digests(paths)]
