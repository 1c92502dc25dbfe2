"""From a recipe to what the loop needs: towers found, features read or computed once, pairs made. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Dataset, DatasetOptions, Encoder, EncoderOptions, Geometry, Sample
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind, Modality
from lpcm.plugin.trainable import TrainableTower
from lpcm.store.features import FeatureStore
from lpcm.store.files import FileDigests
from lpcm.train.heads import Pair, Shape, make_pair
from lpcm.train.held_out import hold_out
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import HeadKind, Recipe
from lpcm.train.restored import told_shape
from lpcm.train.sides import Inputs
from lpcm.train.towers import batch_statistics, trainable_tower

TRAIN, VAL = "train", "val"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things are, no part of what is trained.

    Args:
        store: folder of features.
        data_root: of downloaded datasets.
        device: that the towers run on; towers that learn take their heads with them.
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
        pair: with fresh weights, standardised on the training rows, and with the towers that learn.
        train, val: the pairs, with the features that the towers give before any step.
        inputs: what the towers that learn read of ``train`` and of ``val``.
        about: what the pair is, as JSON values: the identity of the training.
        notes: choices that were made for the user.
    """

    pair: Pair
    recipe: Recipe
    train: Pairs
    val: Pairs
    about: dict[str, Any]
    notes: tuple[str, ...]
    inputs: tuple[Inputs, Inputs] = (Inputs(), Inputs())


@dataclass(frozen=True, eq=False)
class _Side:
    """Samples with captions, and their features, (n, d)."""

    samples: tuple[Sample, ...]
    features: NDArray[np.float32]

    @property
    def captions(self) -> list[tuple[str, ...]]:
        return [sample.captions for sample in self.samples]

    def kept(self, which: NDArray[np.bool_]) -> _Side:
        return _Side(tuple(self.samples[i] for i in np.flatnonzero(which).tolist()), self.features[which])

    @classmethod
    def joined(cls, sides: Sequence[_Side]) -> _Side:
        samples = tuple(sample for side in sides for sample in side.samples)
        return cls(samples, np.concatenate([side.features for side in sides]))


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
    options = EncoderOptions(device=place.device, offline=place.offline, files=files, host=host)
    text_encoder = recipe.text_encoder or recipe.encoder
    images = find_encoder(recipe.encoder, host, options)
    # One encoder for both sides reads its weights once.
    texts = images if text_encoder == recipe.encoder else find_encoder(text_encoder, host, options)
    _refuse_unread(recipe.encoder, images, Modality.IMAGE)
    _refuse_unread(text_encoder, texts, Modality.TEXT)
    dim = recipe.dim or texts.dim
    geometry = make_geometry(host, recipe.geometry, dim, recipe.geometry_settings())
    datasets = {name: _dataset(name, host, files, place) for name in recipe.dataset}
    store = FeatureStore(place.store, files)
    notes: list[str] = []
    key = Key.of(recipe.seed).fold("train")

    towers = _towers(recipe, {Modality.IMAGE: images, Modality.TEXT: texts}, host)
    normalised = batch_statistics({modality.value: tower.module for modality, tower in towers.items()})
    notes += [
        f"the {name} tower normalises over batches: it keeps the statistics it came with"
        for name in normalised
    ]
    sides: dict[str, list[_Side]] = {TRAIN: [], VAL: []}
    for name, dataset in datasets.items():
        for split in (TRAIN, VAL):
            if split in dataset.splits:
                sides[split].append(_side(name, dataset.samples(split), images, store, split, told, notes))
            elif split == TRAIN:
                raise DataError(f"dataset {name!r} has no split 'train': it has {', '.join(dataset.splits)}")
        if VAL not in dataset.splits:
            whole = sides[TRAIN].pop()
            held = hold_out(whole.captions, key)
            sides[TRAIN].append(whole.kept(~held))
            sides[VAL].append(whole.kept(held))
            notes.append(f"{name} has no val split: {int(held.sum())} of its {len(held)} images are held out")

    made = [_pairs(_Side.joined(sides[split]), texts, store, images, towers) for split in (TRAIN, VAL)]
    (train, _), (val, _) = made
    recipe = recipe.sized(len(train))
    train.for_training(recipe.batch)
    shapes = [
        Shape(kind=kind, width=rows.shape[1], hidden=recipe.hidden, dim=dim)
        for kind, rows in ((recipe.head, train.images), (recipe.text_head, train.texts))
    ]
    pair = fresh_pair(_at_own_temperature(recipe, towers), shapes[0], shapes[1], geometry, train)
    pair.towers.update({modality.value: tower.module for modality, tower in towers.items()})
    if towers:
        pair.to(place.device)
    about = {
        "recipe": recipe.told(),
        "encoder": {"name": recipe.encoder, "digest": images.digest()},
        "text_encoder": {"name": text_encoder, "digest": texts.digest()},
        "data": {name: dataset.digest() for name, dataset in datasets.items()},
        "pairs": {"images": len(train), "texts": len(train.texts), "val": len(val)},
        "geometry": {"name": recipe.geometry, "settings": recipe.geometry_settings()},
        "image": told_shape(shapes[0]),
        "text": told_shape(shapes[1]),
        **({"towers": [modality.value for modality in towers]} if towers else {}),
    }
    return Assembled(pair, recipe, train, val, about, tuple(notes), (made[0][1], made[1][1]))


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
    found = host.find(Kind.ENCODER, name)
    encoder: Encoder = host.load(found)(replace(options, argument=found.argument))
    return encoder


def _refuse_unread(name: str, encoder: Encoder, modality: Modality) -> None:
    if modality not in encoder.modalities:
        flag = "--text-encoder NAME" if modality is Modality.TEXT else "--encoder NAME"
        raise UsageError(
            f"encoder {name!r} reads no {modality.value}", f"type {flag}; see: lpcm-eval ls encoders"
        )


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
    notes: list[str],
) -> _Side:
    without = [sample.id for sample in samples if not any(text.strip() for text in sample.captions)]
    if without:
        raise DataError(
            f"{len(without)} of {len(samples)} images of {name} {split} have no caption, first {without[0]!r}",
            "give each image at least one caption, or leave it out; sets with captions: lpcm-eval ls datasets",
        )
    found = store.images(encoder, samples, progress=lambda p: told(f"{name}, {split}", p.done, p.total))
    if found.failed:
        worst, reason = found.failed[0]
        notes.append(
            f"{len(found.failed)} of {len(samples)} images of {name} {split} cannot be read and are left out, "
            f"first {worst!r}: {reason}"
        )
    return _Side(tuple(samples[i] for i in found.rows.tolist()), found.features)


def _pairs(
    side: _Side,
    texts: Encoder,
    store: FeatureStore,
    images: Encoder,
    towers: Mapping[Modality, TrainableTower],
) -> tuple[Pairs, Inputs]:
    tokens: list[torch.Tensor] = []

    def encode(distinct: list[str]) -> NDArray[np.floating]:
        tower = towers.get(Modality.TEXT)
        if tower is not None and tower.tokenise is not None:
            tokens.append(tower.tokenise(distinct))
        return store.texts(texts, distinct)

    pairs = Pairs.of(side.features, side.captions, encode)
    learns = Modality.IMAGE in towers
    return pairs, Inputs(
        images=side.samples if learns else None,
        preprocess=images.preprocess if learns else None,
        tokens=tokens[0] if tokens else None,
    )


def _towers(
    recipe: Recipe, encoders: Mapping[Modality, Encoder], host: PluginHost
) -> dict[Modality, TrainableTower]:
    names = {Modality.IMAGE: recipe.encoder, Modality.TEXT: recipe.text_encoder or recipe.encoder}
    return {
        modality: trainable_tower(names[modality], encoders[modality], modality, host)
        for modality in recipe.train_towers
    }


def _at_own_temperature(recipe: Recipe, towers: Mapping[Modality, TrainableTower]) -> Recipe:
    """Without heads the towers of one encoder are as they were trained, and so is the temperature."""
    bare = recipe.head is HeadKind.NONE and recipe.text_head is HeadKind.NONE
    if recipe.temperature is not None or not bare or recipe.text_encoder not in (None, recipe.encoder):
        return recipe
    own = next((tower.temperature for tower in towers.values()), None)
    return replace(recipe, temperature=own)
