"""Keys: the only source of randomness. A key is folded with names; no global generator is ever touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Key:
    """A 128-bit state from which generators are made.

    The same seed and the same names give the same numbers on every machine, whatever ran before.

    Example:
        >>> shots = Key.of(0).fold("shots", 16, "train")
        >>> shots == Key.of(0).fold("shots").fold(16).fold("train")
        True
        >>> shots.generator().integers(10) == shots.generator().integers(10)
        np.True_
    """

    state: bytes

    @classmethod
    def of(cls, seed: int) -> Key:
        """The key of a study's seed.

        Raises:
            ValueError: when ``seed`` is negative.
        """
        if seed < 0:
            raise ValueError(f"seed is {seed}: expected 0 or more")
        return cls(_mix(b"lpcm-key-1", str(int(seed))))

    def fold(self, *names: str | int) -> Key:
        """A new key for each path of names; order matters."""
        key = self
        for name in names:
            key = Key(_mix(key.state, f"{type(name).__name__}:{name}"))
        return key

    def generator(self) -> np.random.Generator:
        """A numpy generator of its own (Philox)."""
        import numpy as np

        return np.random.Generator(np.random.Philox(key=int.from_bytes(self.state, "big")))

    def random_state(self) -> int:
        """An integer in [0, 2**31) for scikit-learn's ``random_state``."""
        return int.from_bytes(self.state[:4], "big") >> 1

    def torch_generator(self, device: str = "cpu") -> torch.Generator:
        """A torch generator of its own on ``device``."""
        import torch

        return torch.Generator(device=device).manual_seed(int.from_bytes(self.state[:8], "big") >> 1)


def _mix(state: bytes, name: str) -> bytes:
    return hashlib.blake2b(name.encode(), key=state[:64], digest_size=16).digest()
