"""Handwritten digits that scikit-learn carries: 1,797 images of 8 x 8. Refuses to need a download.

It is the test half of the optical digits of Alpaydin and Kaynak (UCI, 1998).
"""

from __future__ import annotations

from lpcm.datasets.folder import SPLIT_KEY, SPLIT_NOTE
from lpcm.datasets.listing import ListedDataset, Listing
from lpcm.datasets.sources import ArrayImage
from lpcm.datasets.splits import split_by_key
from lpcm.plugin.contracts import DatasetOptions, Sample

_BRIGHTEST = 16  # grey values are counts of ink in 4 x 4 pixels


class Digits(ListedDataset):
    """The digits, split by key."""

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(
            "digits", options.files, templates=('a photo of the number: "{}".',), licence="CC BY 4.0"
        )

    def _list(self) -> Listing:
        import numpy as np
        from sklearn.datasets import load_digits

        data = load_digits()
        pixels = np.rint(data.images * (255 / _BRIGHTEST)).astype(np.uint8)
        labels = [int(label) for label in data.target]
        samples = [
            Sample(f"{row:04d}", ArrayImage.of(image), label)
            for row, (image, label) in enumerate(zip(pixels, labels, strict=True))
        ]
        rows = split_by_key([s.id for s in samples], [str(label) for label in labels], SPLIT_KEY)
        return Listing(
            classes=tuple(map(str, range(10))),
            samples={split: tuple(samples[row] for row in chosen) for split, chosen in rows.items()},
            notes=(SPLIT_NOTE,),
        )
