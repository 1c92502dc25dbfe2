"""From a recipe to what the loop needs: towers found, features read or computed once, pairs made. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Dataset, DatasetOptions, Encoder, EncoderOptions, Geometry, Sample
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind, Modality
from lpcm.store.features import FeatureStore
from lpcm.store.files import FileDigests
from lpcm.train.heads import Pair, Shape, make_pair
from lpcm.train.held_out import hold_out
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe
from lpcm.train.restored import told_shape

TRAIN, VAL = "train", "val"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things are, no part of what is trained.

    Args:
        store: folder of features.
        data_root: of downloaded datasets.
        device: that the towers run on.
        offline: never open a connection.
        allow_download: let datasets be downloaded.
    """

    store: Path
    data_root: Path
    device: str = "cpu"
    offline: bool = False
    allow_download: bool = False


@dataclass(frozen=True, eq=False)
class Assembled:
    """All that a training needs.

    Args:
        recipe: with its batch settled.
        pair: with fresh weights, standardised on the training rows.
        train, val: the pairs.
        about: what the pair is, as JSON values: the identity of the training.
        notes: choices that were made for the user.
    """

    pair: Pair
    recipe: Recipe
    train: Pairs
    val: Pairs
    about: dict[str, Any]
    notes: tuple[str, ...]


def assemble(
    recipe: Recipe,
    host: PluginHost,
    files: FileDigests,
    place: Place,
    told: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Assembled:
    """Find the towers and the data, and read or compute their features.

    Args:
        recipe: what is asked.
        host: the plugins.
        files: digests of files.
        place: folders and devices.
        told: progress of the extraction: what, done, total.

    Raises:
        UsageError: for names and combinations that cannot be.
        MissingError: for weights or data that are not there.
        DataError: for captions or features that nothing can be learnt from.
    """
    if not recipe.encoder:
        raise UsageError("no encoder was given", "type --encoder NAME; see: lpcm-eval ls encoders")
    if not recipe.dataset:
        raise UsageError("no dataset was given", "type --dataset NAME; see: lpcm-eval ls datasets")
    images = _encoder(recipe.encoder, host, files, place, Modality.IMAGE)
    texts = _encoder(recipe.text_encoder or recipe.encoder, host, files, place, Modality.TEXT)
    dim = recipe.dim or texts.dim
    geometry = make_geometry(host, recipe.geometry, dim, recipe.geometry_settings())
    datasets = {name: _dataset(name, host, files, place) for name in recipe.dataset}
    store = FeatureStore(place.store, files)
    notes: list[str] = []
    key = Key.of(recipe.seed).fold("train")

    sides: dict[str, list[tuple[NDArray[np.float32], list[tuple[str, ...]]]]] = {TRAIN: [], VAL: []}
    for name, dataset in datasets.items():
        for split in (TRAIN, VAL):
            if split in dataset.splits:
                sides[split].append(_side(name, dataset.samples(split), images, store, split, told))
            elif split == TRAIN:
                raise DataError(f"dataset {name!r} has no split 'train': it has {', '.join(dataset.splits)}")
        if VAL not in dataset.splits:
            rows, captions = sides[TRAIN].pop()
            held = hold_out(captions, key)
            sides[TRAIN].append(_kept(rows, captions, ~held))
            sides[VAL].append(_kept(rows, captions, held))
            notes.append(f"{name} has no val split: {int(held.sum())} of its {len(held)} images are held out")

    def encode(distinct: list[str]) -> NDArray[np.floating]:
        return store.texts(texts, distinct)

    train = _pairs(sides[TRAIN], encode)
    recipe = recipe.sized(len(train))
    train.for_training(recipe.batch)
    val = _pairs(sides[VAL], encode)
    shapes = [
        Shape(kind=kind, width=rows.shape[1], hidden=recipe.hidden, dim=dim)
        for kind, rows in ((recipe.head, train.images), (recipe.text_head, train.texts))
    ]
    pair = fresh_pair(recipe, shapes[0], shapes[1], geometry, train)
    about = {
        "recipe": recipe.told(),
        "encoder": {"name": recipe.encoder, "digest": images.digest()},
        "text_encoder": {"name": recipe.text_encoder or recipe.encoder, "digest": texts.digest()},
        "data": {name: dataset.digest() for name, dataset in datasets.items()},
        "pairs": {"images": len(train), "texts": len(train.texts), "val": len(val)},
        "geometry": {"name": recipe.geometry, "settings": recipe.geometry_settings()},
        "image": told_shape(shapes[0]),
        "text": told_shape(shapes[1]),
    }
    return Assembled(pair, recipe, train, val, about, tuple(notes))


def fresh_pair(recipe: Recipe, image: Shape, text: Shape, geometry: Geometry, train: Pairs) -> Pair:
    """A pair with the recipe's fresh weights that reads features as the training rows are distributed."""
    key = Key.of(recipe.seed).fold("train")
    pair = make_pair(image, text, geometry, recipe.temperature, recipe.max_scale, key)
    pair.images.standardise(train.images)
    pair.texts.standardise(train.texts)
    return pair


def make_geometry(host: PluginHost, name: str, dim: int, settings: Mapping[str, Any]) -> Geometry:
    """The geometry of that name. Raises ``UsageError`` for a setting that it does not have."""
    found = host.find(Kind.GEOMETRY, name)
    known = {param.name for param in found.record.params}
    for setting in settings:
        if setting not in known:
            raise UsageError(
                f"geometry {name!r} has no setting {setting!r}",
                f"it has: {', '.join(sorted(known)) or 'none'}",
            )
    geometry: Geometry = host.load(found)(dim, **settings)
    return geometry


def find_encoder(name: str, host: PluginHost, options: EncoderOptions) -> Encoder:
    """The encoder of that name; ``options.argument`` is replaced by what follows the colon."""
    from dataclasses import replace

    found = host.find(Kind.ENCODER, name)
    encoder: Encoder = host.load(found)(replace(options, argument=found.argument))
    return encoder


def _encoder(name: str, host: PluginHost, files: FileDigests, place: Place, modality: Modality) -> Encoder:
    options = EncoderOptions(device=place.device, offline=place.offline, files=files, host=host)
    encoder = find_encoder(name, host, options)
    if modality not in encoder.modalities:
        flag = "--text-encoder NAME" if modality is Modality.TEXT else "--encoder NAME"
        raise UsageError(
            f"encoder {name!r} reads no {modality.value}", f"type {flag}; see: lpcm-eval ls encoders"
        )
    return encoder


def _dataset(name: str, host: PluginHost, files: FileDigests, place: Place) -> Dataset:
    found = host.find(Kind.DATASET, name)
    dataset: Dataset = host.load(found)(
        DatasetOptions(
            argument=found.argument,
            root=place.data_root,
            offline=place.offline or not place.allow_download,
            files=files,
        )
    )
    return dataset


def _side(
    name: str,
    samples: Sequence[Sample],
    encoder: Encoder,
    store: FeatureStore,
    split: str,
    told: Callable[[str, int, int], None],
) -> tuple[NDArray[np.float32], list[tuple[str, ...]]]:
    without = [sample.id for sample in samples if not any(text.strip() for text in sample.captions)]
    if without:
        raise DataError(
            f"{len(without)} of {len(samples)} images of {name} {split} have no caption, first {without[0]!r}",
            "give each image at least one caption, or leave it out; sets with captions: lpcm-eval ls datasets",
        )
    found = store.images(encoder, samples, progress=lambda p: told(f"{name}, {split}", p.done, p.total))
    return found.features, [samples[i].captions for i in found.rows]


def _kept(
    rows: NDArray[np.float32], captions: Sequence[tuple[str, ...]], which: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], list[tuple[str, ...]]]:
    return rows[which], [captions[i] for i in np.flatnonzero(which).tolist()]


def _pairs(
    sides: Sequence[tuple[NDArray[np.float32], list[tuple[str, ...]]]],
    encode: Callable[[list[str]], NDArray[np.floating]],
) -> Pairs:
    rows = np.concatenate([features for features, _ in sides])
    return Pairs.of(rows, [texts for _, captions in sides for texts in captions], encode)
