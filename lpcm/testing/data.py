"""Small inputs for checks and tests: images, captions, latent pairs, classes. Refuses to read a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lpcm.keys import Key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

CAPTIONS = (
    "a photo of a cat.",
    "two red cubes on a blue table",
    "Größe 42, à côté d'un œuf",
    "x",
    "a very long sentence about an otter, " * 40,
)
"""Short, plain, accented, one letter, and longer than any context."""


def make_tiny_images() -> list[Image]:
    """Seven small images of odd sizes and several modes: the probes of the canary, grey, and palette."""
    from PIL import Image as Pillow

    from lpcm.encoders.canary import probe_images

    grey = Pillow.linear_gradient("L").resize((17, 31))
    return [*probe_images(), grey, probe_images()[0].convert("P")]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Paired observations of coupled latents (arXiv 2402.06223, section 3, with linear mixing).

    Args:
        z, z_partner: (n, d) float64 latents of the two modalities; z_partner is z with Gaussian noise.
        x, y: (n, d) float64 observations: each latent mixed by an invertible matrix of its own.
        mix_x, mix_y: (d, d) float64 those matrices: ``x = z @ mix_x.T``.
    """

    z: NDArray[np.float64]
    z_partner: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mix_x: NDArray[np.float64]
    mix_y: NDArray[np.float64]


def make_pairs(d: int, n: int, key: Key, *, source: str = "laplace", noise: float = 0.1) -> Pairs:
    """Draw linear paired latents.

    Args:
        d: width of the latents, 1 or more.
        n: pairs, 1 or more.
        key: all of the randomness.
        source: ``"laplace"`` (identifiable by ICA) or ``"gaussian"`` (not identifiable), variance 1.
        noise: standard deviation of the partner around its latent.

    Raises:
        ValueError: for another source.

    Example:
        >>> make_pairs(3, 5, Key.of(0)).x.shape
        (5, 3)
    """
    import numpy as np

    generator = key.fold("pairs", d, n, source).generator()
    if source == "laplace":
        z = generator.laplace(scale=np.sqrt(0.5), size=(n, d))
    elif source == "gaussian":
        z = generator.standard_normal((n, d))
    else:
        raise ValueError(f"source is {source!r}: expected 'laplace' or 'gaussian'")
    partner = z + noise * generator.standard_normal((n, d))
    mixes = []
    for _ in range(2):
        # Singular values between 1 and 2: invertible, and far from singular for every draw.
        u, _, vt = np.linalg.svd(generator.standard_normal((d, d)))
        mixes.append(u * np.linspace(1, 2, d) @ vt)
    return Pairs(z, partner, z @ mixes[0].T, partner @ mixes[1].T, mixes[0], mixes[1])


@dataclass(frozen=True, eq=False)
class ClassRows:
    """Rows of well separated classes.

    Args:
        features: (n, d) float32.
        labels: (n,) int64 in [0, c).
        centres: (c, d) float32 unit vectors, orthogonal.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    centres: NDArray[np.float32]


def make_class_rows(n: int, key: Key, *, classes: int = 5, d: int = 11, spread: float = 0.08) -> ClassRows:
    """Draw n rows around orthogonal unit centres, the classes in turn.

    Centres do not depend on the key, so that rows of several keys belong together. With spread 0.08 in 11
    dimensions a row is off by about 0.27 and centres are 1.41 apart: any sound classifier separates them.
    """
    import numpy as np

    centres = np.linalg.qr(Key.of(0).fold("centres", d).generator().standard_normal((d, d)))[0][:classes]
    labels = np.arange(n, dtype=np.int64) % classes
    noise = key.fold("rows", n).generator().standard_normal((n, d))
    features = (centres[labels] + spread * noise).astype(np.float32)
    return ClassRows(features, labels, centres.astype(np.float32))
