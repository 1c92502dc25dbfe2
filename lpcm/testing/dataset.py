"""What a dataset promises. Refuses to download: a dataset that is not on disk is skipped, with its reason.

Source: the contract ``lpcm.plugin.contracts.Dataset``.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lpcm.errors import DataError
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.plugin.records import DatasetRecord
from lpcm.plugin.truth import FactorKind, Factors
from lpcm.store.files import FileDigests
from lpcm.testing.common import LOADING, expect_text, watched
from lpcm.testing.digests import OtherFiles, expect_digest
from lpcm.testing.subject import CheckFunction, Subject, expect, refuses, skip

SPLITS = ("train", "val", "test")
# Images are opened from both ends of a split, not all of them: a check should take seconds on any dataset.
_OPENED = 3
# A source holds a path or the bytes of a small file; decoded pixels of a photo are larger than this.
_MOST_PICKLED = 1 << 20
# A turn in radians, with room for values that were stored as float32.
_TURN = 2 * math.pi * (1 + 1e-6)


def build(subject: Subject, files: FileDigests | None = None) -> Any:
    """A new dataset, offline."""
    return subject.load()(
        DatasetOptions(
            argument=subject.argument, root=subject.data_root, offline=True, files=files or FileDigests(None)
        )
    )


def shared(subject: Subject) -> Any:
    """The dataset that most checks look at: it is listed once."""
    return subject.once("dataset", lambda: build(subject))


def _samples(subject: Subject) -> dict[str, Sequence[Sample]]:
    dataset = shared(subject)
    return subject.once("samples", lambda: {split: dataset.samples(split) for split in dataset.splits})


def _some(subject: Subject) -> list[Sample]:
    found = []
    for samples in _samples(subject).values():
        found += [*samples[:_OPENED], *samples[-1:]]
    with_images = [sample for sample in found if sample.image is not None]
    if not with_images:
        skip("its samples have no images, only stored features")
    return with_images


def _factors(subject: Subject) -> dict[str, Factors]:
    dataset = shared(subject)
    if not hasattr(dataset, "factors"):
        skip("it knows no factors")
    return subject.once("factors", lambda: {split: dataset.factors(split) for split in dataset.splits})


def _heads(tables: Mapping[str, Factors]) -> tuple[tuple[str, ...], tuple[FactorKind, ...]]:
    first = next(iter(tables.values()))
    return first.names, first.kinds


def record_tells_the_truth(subject: Subject) -> None:
    """Numbers of classes and images are those that the record announces (of images: without an argument)."""
    dataset, record = shared(subject), cast(DatasetRecord, subject.record)
    count = sum(len(samples) for samples in _samples(subject).values())
    for what, told, given in (
        ("classes", record.classes, len(dataset.classes)),
        ("images", None if subject.argument else record.images, count),  # an argument may take some of them
    ):
        expect(told in (None, given), f"the record says {told} {what}, the dataset has {given}")
    expect_text(dataset.licence, "licence")
    expect_text(dataset.name, "name")


def classes_are_distinct_names(subject: Subject) -> None:
    """There are two or more classes, or one where captions or factors say what to see; a prompt can name each."""
    dataset = shared(subject)
    classes = dataset.classes
    told = hasattr(dataset, "factors") or all(s.captions for part in _samples(subject).values() for s in part)
    fewest = 1 if told else 2
    expect(
        isinstance(classes, tuple) and len(classes) >= fewest,
        f"classes is {classes!r:.60}: expected a tuple of {fewest} or more",
    )
    twice = [name for name, count in Counter(classes).items() if count > 1]
    expect(not twice, f"two classes are called {twice[:1]}")
    for name in classes:
        expect_text(name, "a class name")


def templates_have_one_place(subject: Subject) -> None:
    """Each prompt template has one ``{}`` for the class name."""
    templates = shared(subject).templates
    expect(
        isinstance(templates, tuple), f"templates is a {type(templates).__name__}: expected a tuple of texts"
    )
    for template in templates:
        expect(
            template.count("{}") == 1,
            f"template {template!r} has {template.count('{}')} places {{}}: expected one",
        )


def splits_are_known_and_filled(subject: Subject) -> None:
    """Splits are of train, val, test; none is empty; an unknown one is refused."""
    dataset = shared(subject)
    expect(dataset.splits, "splits is empty")
    for split in dataset.splits:
        expect(split in SPLITS, f"split {split!r}: expected {', '.join(SPLITS)}")
        expect(len(_samples(subject)[split]) > 0, f"split {split!r} is empty")
    refuses(lambda: dataset.samples("no-such-split"), "samples of a split that does not exist")


def splits_are_disjoint(subject: Subject) -> None:
    """No sample id is there twice, within a split or in two of them."""
    home: dict[str, str] = {}
    for split, samples in _samples(subject).items():
        for sample in samples:
            expect(isinstance(sample.id, str) and sample.id, f"id {sample.id!r} in {split}: expected a text")
            expect(sample.id not in home, f"sample {sample.id!r} is in {home.get(sample.id)} and in {split}")
            home[sample.id] = split


def samples_keep_their_order(subject: Subject) -> None:
    """A second object lists the same ids, labels, domains and captions in the same order."""
    again = build(subject)
    for split, samples in _samples(subject).items():
        one = [(s.id, s.label, s.domain, s.captions) for s in samples]
        other = [(s.id, s.label, s.domain, s.captions) for s in again.samples(split)]
        expect(one == other, f"split {split!r} is listed differently the second time")


def labels_are_in_range(subject: Subject) -> None:
    """Labels are places in ``classes``."""
    classes = len(shared(subject).classes)
    for split, samples in _samples(subject).items():
        for s in samples:
            expect(
                isinstance(s.label, int) and 0 <= s.label < classes,
                f"sample {s.id!r} of {split} has label {s.label!r}: expected an int from 0 to {classes - 1}",
            )


def domains_are_declared(subject: Subject) -> None:
    """Each sample's domain is one of the dataset's; with none declared it is empty."""
    domains = shared(subject).domains
    allowed = set(domains) or {""}
    for split, samples in _samples(subject).items():
        for s in samples:
            expect(
                s.domain in allowed,
                f"sample {s.id!r} of {split} has domain {s.domain!r}: declared are {domains!r}",
            )


def domain_classes_hold_their_samples(subject: Subject) -> None:
    """Where some domain lacks classes, the labels that can occur there include all that do."""
    dataset = shared(subject)
    if not hasattr(dataset, "domain_classes"):
        skip("it does not say that a domain lacks classes")
    known = dataset.domain_classes
    expect(isinstance(known, Mapping), f"domain_classes is a {type(known).__name__}: expected a mapping")
    for domain, labels in known.items():
        expect(
            domain in dataset.domains, f"domain_classes names {domain!r}: declared are {dataset.domains!r}"
        )
        expect(
            isinstance(labels, tuple) and labels and labels == tuple(sorted(set(labels))),
            f"domain_classes of {domain!r} is {labels!r:.60}: expected ascending labels, each once",
        )
        wrong = [label for label in labels if label not in range(len(dataset.classes))]
        expect(
            not wrong, f"domain_classes of {domain!r} holds {wrong}: labels end at {len(dataset.classes) - 1}"
        )
    for samples in _samples(subject).values():
        for s in samples:
            expect(
                s.domain not in known or s.label in known[s.domain],
                f"sample {s.id!r} of {s.domain!r} has label {s.label}, which domain_classes leaves out there",
            )


def factors_are_aligned_with_samples(subject: Subject) -> None:
    """Factors have a finite float64 row a sample, and the same names and kinds in each split."""
    tables = _factors(subject)
    names, kinds = _heads(tables)
    expect(
        len(set(names)) == len(names) == len(kinds) >= 1,
        f"factors have names {names!r} and kinds {kinds!r}: expected one kind a name, each name once",
    )
    for name, kind in zip(names, kinds, strict=True):
        expect_text(name, "a factor's name")
        expect(isinstance(kind, FactorKind), f"factor {name!r} is of kind {kind!r}: expected a FactorKind")
    for split, table in tables.items():
        expect((table.names, table.kinds) == (names, kinds), f"factors of {split!r} are other factors")
        shape = (len(_samples(subject)[split]), len(names))
        values = table.values
        expect(
            values.dtype.name == "float64" and values.shape == shape,
            f"factors of {split!r} are {values.dtype.name} of shape {values.shape}: expected float64, {shape}",
        )
        expect(all(map(math.isfinite, values.ravel().tolist())), f"factors of {split!r} are not all finite")
    again = build(subject)
    for split, table in tables.items():
        same = table.values.tolist() == again.factors(split).values.tolist()
        expect(same, f"factors of {split!r} are others the second time")


def factors_are_of_their_kind(subject: Subject) -> None:
    """Categories are whole numbers from 0, angles are radians within a turn, and each factor varies."""
    tables = _factors(subject)
    for place, (name, kind) in enumerate(zip(*_heads(tables), strict=True)):
        values = {value for table in tables.values() for value in table.values[:, place].tolist()}
        expect(len(values) >= 2, f"factor {name!r} is always {min(values)}: it tells nothing")
        if kind is FactorKind.CATEGORICAL:
            wrong = [value for value in values if value < 0 or value != int(value)]
            expect(not wrong, f"categorical factor {name!r} has value {wrong[:1]}: expected 0, 1, 2, ...")
        if kind is FactorKind.ANGLE:
            far = max(values, key=abs)
            expect(abs(far) <= _TURN, f"angle {name!r} has value {far}: expected radians, at most 2 pi")


def images_open(subject: Subject) -> None:
    """The first and last images of each split are decoded to Pillow images."""
    from PIL.Image import Image

    for sample in _some(subject):
        assert sample.image is not None
        with sample.image.open() as image:
            expect(
                isinstance(image, Image),
                f"image of {sample.id!r} opens to {type(image).__name__}: expected Pillow's",
            )
            expect(image.width > 0 and image.height > 0, f"image of {sample.id!r} has size {image.size}")


def images_cross_to_workers(subject: Subject) -> None:
    """A source is small when pickled, and opens to the same pixels in the worker that receives it."""
    for sample in _some(subject):
        assert sample.image is not None
        data = pickle.dumps(sample.image)
        expect(
            len(data) <= _MOST_PICKLED,
            f"image source of {sample.id!r} pickles to {len(data)} bytes: hold a path or encoded bytes",
        )
        # These bytes were made on the line above: nothing from disk is unpickled.
        with sample.image.open() as one, pickle.loads(data).open() as other:
            expect(
                one.tobytes() == other.tobytes(),
                f"image of {sample.id!r} opens to other pixels after pickling",
            )


def fingerprints_tell_images_apart(subject: Subject) -> None:
    """A fingerprint is the same each time, and images with different pixels have different ones."""
    with FileDigests(None) as files:
        seen: dict[str, tuple[str, bytes]] = {}
        for sample in _some(subject):
            assert sample.image is not None
            one, other = sample.image.fingerprint(files), sample.image.fingerprint(files)
            expect_digest(one, f"fingerprint of {sample.id!r}")
            expect(one == other, f"fingerprint of {sample.id!r} changes from call to call")
            with sample.image.open() as image:
                pixels = image.tobytes()
            known = seen.setdefault(one, (sample.id, pixels))
            expect(
                known[1] == pixels,
                f"images {known[0]!r} and {sample.id!r} differ and have the same fingerprint",
            )


def digest_is_stable(subject: Subject) -> None:
    """Two datasets built alike have the same digest, in hexadecimal."""
    one, other = shared(subject).digest(), build(subject).digest()
    expect_digest(one, "digest()")
    expect(one == other, f"two datasets built alike have digests {one[:12]} and {other[:12]}")


def digest_moves_with_files(subject: Subject) -> None:
    """Image files with another content give another digest, or are refused."""
    other = OtherFiles(None)
    with other as files:
        try:
            digest = build(subject, files).digest()
        except DataError:
            return  # it knows which files it wants
        if not other.asked:
            skip("it reads no files through options.files")
    expect(digest != shared(subject).digest(), "digest() is the same for files of another content")


def _exercise(subject: Subject) -> None:
    dataset = build(subject)
    dataset.digest()
    for split in dataset.splits:
        for sample in dataset.samples(split)[:_OPENED]:
            if sample.image is not None:
                sample.image.open().close()


CHECKS: tuple[CheckFunction, ...] = (
    *LOADING,
    record_tells_the_truth,
    classes_are_distinct_names,
    templates_have_one_place,
    splits_are_known_and_filled,
    splits_are_disjoint,
    samples_keep_their_order,
    labels_are_in_range,
    domains_are_declared,
    domain_classes_hold_their_samples,
    factors_are_aligned_with_samples,
    factors_are_of_their_kind,
    images_open,
    images_cross_to_workers,
    fingerprints_tell_images_apart,
    digest_is_stable,
    digest_moves_with_files,
    *watched(_exercise),
)
