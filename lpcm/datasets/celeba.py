"""CelebA (Liu, Luo, Wang, Tang, 2015): 202,599 faces with 40 yes-no attributes. Refuses copies that are not whole.

The attributes are the factors, 0 or 1. The label is one of them: ``celeba`` stands for ``celeba:Smiling``, which
nearly halves the set (48 % smile), and ``celeba:Eyeglasses`` asks for another. The partition is the published one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lpcm.datasets.download import check_images
from lpcm.datasets.factored import FactoredDataset, FactorListing, make_factors
from lpcm.datasets.listing import SPLITS
from lpcm.datasets.names import some
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.sources import FileImage
from lpcm.errors import DataError, UsageError, nearest
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.plugin.truth import FactorKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
LABEL = "Smiling"
"""The attribute that labels when none is asked for."""

_NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair
Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face
Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair
Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young
"""
NAMES = tuple(_NAMES.split())


class CelebA(FactoredDataset, PlacedDataset):
    """CelebA under ``ROOT/celeba``, as torchvision lays it out.

    Args:
        options: ``argument`` is the attribute that labels; empty for ``Smiling``.

    Raises:
        UsageError: for another attribute than the 40.
    """

    known_as = "celeba"
    folders = ("celeba", "CelebA")
    parts = (IMAGES, ATTRIBUTES, PARTITION)
    home = "mmlab.ie.cuhk.edu.hk/projects/CelebA.html (In-The-Wild is another set: take the aligned images)"
    terms = "non-commercial research"
    prompts = ("a photo of a face: {}.",)
    tree = f"""
├── {IMAGES}/000001.jpg ... 202599.jpg
├── {ATTRIBUTES}         (its second line names the 40 attributes)
└── {PARTITION}
"""

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(options)
        self.label = options.argument or LABEL
        if options.argument:
            self.name = f"{self.known_as}:{options.argument}"
        if self.label not in NAMES:
            raise UsageError(
                f"{self.name}: CelebA has no attribute {self.label!r}: it has {', '.join(NAMES)}",
                nearest(self.label, NAMES) or f"Type for example celeba:{LABEL}",
            )

    def _read(self, folder: Path) -> FactorListing:
        import numpy as np

        ids, values = _read_attributes(folder / ATTRIBUTES)
        parts = _read_partition(folder / PARTITION, ids)
        check_images(self.name, folder / IMAGES, ids, ATTRIBUTES)
        labels = values[:, NAMES.index(self.label)].astype(int).tolist()
        rows = {split: np.flatnonzero(parts == number) for number, split in enumerate(SPLITS)}
        words = self.label.replace("_", " ").lower()
        return FactorListing(
            classes=(f"not {words}", words),
            samples={
                split: tuple(
                    Sample(ids[row], FileImage(folder / IMAGES / ids[row]), labels[row])
                    for row in chosen.tolist()
                )
                for split, chosen in rows.items()
            },
            factors={
                split: make_factors(NAMES, [FactorKind.CATEGORICAL] * len(NAMES), values[chosen])
                for split, chosen in rows.items()
            },
            notes=(f"label: the attribute {self.label}",),
        )


def _read_attributes(file: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Names of the images and (n, 40) zeros and ones, from lines ``000001.jpg -1 1 ...``."""
    import numpy as np

    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) < 3 or tuple(lines[1].split()) != NAMES:
        raise DataError(
            f"{file}: expected the number of images, then the names of {len(NAMES)} attributes, then a line an image",
            "Fetch it anew: it may be cut off, or a table of another set.",
        )
    rows = [line for line in lines[2:] if line.strip()]
    if not lines[0].strip().isdecimal() or int(lines[0]) != len(rows):
        raise DataError(
            f"{file} lists {len(rows)} images, where its first line says {lines[0].strip() or 'nothing'}",
            "The download may have been cut off: fetch it anew.",
        )
    try:
        signs = np.loadtxt(rows, dtype=np.int8, usecols=range(1, len(NAMES) + 1), ndmin=2)
    except ValueError as error:  # a field too few, or one that is no number
        raise DataError(
            f"{file}: {str(error).splitlines()[0]}: expected -1 or 1 for each attribute"
        ) from error
    wrong = np.argwhere(np.abs(signs) != 1)
    if len(wrong):
        row, column = wrong[0].tolist()
        raise DataError(f"{file}, line {row + 3}: {NAMES[column]} is {signs[row, column]}: expected -1 or 1")
    return [line.split(maxsplit=1)[0] for line in rows], (signs + 1) / 2.0


def _read_partition(file: Path, ids: list[str]) -> NDArray[np.int64]:
    """Part of each image: 0 train, 1 val, 2 test, from lines ``000001.jpg 0``."""
    import numpy as np

    parts = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise DataError(f"{file}, line {number}: {line!r}: expected IMAGE.jpg and 0, 1 or 2")
        parts[fields[0]] = int(fields[1])
    missing = [name for name in ids if name not in parts]
    if missing:
        raise DataError(f"{file} says nothing of {len(missing)} images of {ATTRIBUTES}: {some(missing)}")
    return np.array([parts[name] for name in ids], np.int64)
