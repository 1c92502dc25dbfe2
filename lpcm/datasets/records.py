"""Records of the built-in datasets. Refuses to import anything but the record type."""

from __future__ import annotations

from lpcm.plugin.records import DatasetRecord

RECORDS: tuple[DatasetRecord, ...] = (
    DatasetRecord(
        name="folder",
        summary="Images in class folders, with or without train/val/test or domains above them",
        loader="lpcm.datasets.folder:FolderDataset",
        takes="PATH",
        licence="yours",
    ),
    DatasetRecord(
        name="csv",
        summary="Images listed in a table: path, label, and if you like domain, caption, split",
        loader="lpcm.datasets.manifest:CsvDataset",
        takes="FILE",
        licence="yours",
    ),
    DatasetRecord(
        name="digits",
        summary="Handwritten digits, 8 x 8 grey; comes with scikit-learn, no download",
        loader="lpcm.datasets.digits:Digits",
        classes=10,
        images=1797,
        licence="CC BY 4.0",
        source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
    ),
    DatasetRecord(
        name="rendered",
        summary="Drawn pictures of one object with eight known factors; needs no file",
        loader="lpcm.datasets.rendered:Rendered",
        takes="[COUNT]",
        classes=8,
        images=2000,
        licence="CC0-1.0",
    ),
    DatasetRecord(
        name="caltech101",
        summary="Caltech 101, photos of objects, CoOp split",
        loader="lpcm.datasets.caltech101:Caltech101",
        classes=100,
        images=8242,
        licence="CC BY 4.0",
        source="Li, Andreeto, Ranzato, Perona, 2022 (doi:10.22002/D1.20086); Zhou et al., CoOp, 2022",
    ),
    DatasetRecord(
        name="oxford-pets",
        summary="Oxford-IIIT Pet, cat and dog breeds, CoOp split",
        loader="lpcm.datasets.oxford_pets:OxfordPets",
        classes=37,
        images=7349,
        licence="CC BY-SA 4.0",
        source="Parkhi, Vedaldi, Zisserman, Jawahar, Cats and Dogs, CVPR 2012; Zhou et al., CoOp, 2022",
    ),
    DatasetRecord(
        name="cifar100",
        summary="CIFAR-100, 32 x 32 photos, from the binary version",
        loader="lpcm.datasets.cifar100:Cifar100",
        classes=100,
        images=60_000,
        licence="not stated by its author",
        source="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    ),
)
