"""Trained heads: what they are trained on and what not, that they are the packaged ones, and what they are worth."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from lpcm_lite import train_heads
from lpcm_lite.datasets.drawn_names import HELD_OUT_STYLE, DrawnNames
from lpcm_lite.datasets.emoji import Emoji, concepts
from lpcm_lite.datasets.icons import Icons
from lpcm_lite.encoders import heads as module
from lpcm_lite.encoders.heads import Lite0Heads, Lite0Mix, heads_file
from lpcm_lite.encoders.towers import PREPROCESS, Lite0

from lpcm.encoders.preprocess import Transform
from lpcm.errors import DataError
from lpcm.plugin.contracts import DatasetOptions, EncoderOptions
from lpcm.store.files import FileDigests
from lpcm.train.checkpoint import read_about

TEXTS = ("a cat", "arrow left", "a photo of a fire engine.")


@pytest.fixture(scope="module")
def drawn(files: FileDigests) -> DrawnNames:
    return DrawnNames(DatasetOptions(root=Path("nowhere"), offline=True, files=files))


@pytest.fixture(scope="module")
def heads(files: FileDigests) -> Lite0Heads:
    return Lite0Heads(EncoderOptions(files=files, offline=True))


@pytest.fixture(scope="module")
def mix(files: FileDigests) -> Lite0Mix:
    return Lite0Mix(EncoderOptions(files=files, offline=True))


@pytest.fixture(scope="module")
def pixels(drawn: DrawnNames) -> torch.Tensor:
    transform = Transform(PREPROCESS)
    chosen = [sample.image for sample in drawn.samples("test")[::700]]
    return torch.from_numpy(np.stack([transform(image.open()) for image in chosen if image is not None]))


def test_no_name_is_in_two_splits(drawn: DrawnNames) -> None:
    splits = defaultdict(set)
    for split in drawn.splits:
        for sample in drawn.samples(split):
            splits[sample.captions[0].lower()].add(split)
    assert {name for name, found in splits.items() if len(found) > 1} == set()


def test_no_family_of_emoji_is_in_two_splits(drawn: DrawnNames) -> None:
    family = {concept.code: concept.family for concept in concepts()}
    splits = defaultdict(set)
    for split in drawn.splits:
        for sample in drawn.samples(split):
            if sample.label == 0:
                splits[family[sample.id.partition("/")[2]]].add(split)
    assert {name for name, found in splits.items() if len(found) > 1} == set()


def test_what_emoji_and_icons_test_on_is_never_trained_on(
    drawn: DrawnNames, emoji: Emoji, icons: Icons
) -> None:
    trained = {sample.id for sample in drawn.samples("train")}
    names = {sample.captions[0].lower() for sample in drawn.samples("train")}
    for dataset in (emoji, icons):
        for split in ("val", "test"):
            samples = dataset.samples(split)
            assert not trained & {sample.id for sample in samples}
            assert not names & {sample.captions[0].lower() for sample in samples}


def test_a_second_view_doubles_the_train_split_alone(drawn: DrawnNames, files: FileDigests) -> None:
    options = DatasetOptions(argument="two-views", root=Path("nowhere"), offline=True, files=files)
    twice = DrawnNames(options)
    first = drawn.samples("train")
    assert twice.samples("train")[: len(first)] == first
    again = twice.samples("train")[len(first) :]
    assert [(s.label, s.domain, s.captions) for s in again] == [
        (s.label, s.domain, s.captions) for s in first
    ]
    assert len({s.id for s in twice.samples("train")}) == 2 * len(first) >= 16_384
    for split in ("val", "test"):
        assert twice.samples(split) == drawn.samples(split)
    assert twice.digest() != drawn.digest()


def test_a_second_view_is_another_picture_of_the_same_drawing(drawn: DrawnNames, files: FileDigests) -> None:
    options = DatasetOptions(argument="two-views", root=Path("nowhere"), offline=True, files=files)
    samples = DrawnNames(options).samples("train")
    half = len(samples) // 2
    grounds = set()
    for row in range(0, half, 1999):
        first, second = samples[row].image, samples[row + half].image
        assert first is not None
        assert second is not None
        pixels, other = np.asarray(first.open()), np.asarray(second.open())
        assert other.shape == pixels.shape == (256, 256, 3)
        assert np.array_equal(other, np.asarray(second.open()))
        ground = tuple(other[0, 0].tolist())
        assert min(ground) >= 176
        grounds.add(ground)
        seen = (other != other[0, 0]).any(axis=2)
        assert 100 < seen.sum() < (pixels != 255).any(axis=2).sum()  # smaller, but there
        assert not seen[:16].any()
        assert not seen[:, :16].any()
        assert not seen[240:].any()
        assert not seen[:, 240:].any()
        assert first.fingerprint(files) != second.fingerprint(files)
    assert len(grounds) > 3


def test_one_style_is_never_trained_on(drawn: DrawnNames) -> None:
    assert HELD_OUT_STYLE not in {sample.domain for sample in drawn.samples("train")}
    assert HELD_OUT_STYLE in {sample.domain for sample in drawn.samples("test")}


def test_no_class_of_imagenet_that_is_called_like_a_held_out_concept_is_trained_on(
    drawn: DrawnNames, files: FileDigests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {s.captions[0].lower() for split in ("val", "test") for s in drawn.samples(split)}
    seen: list[str] = []
    ingredients = train_heads.Ingredients(tmp_path, files, lambda text: None)

    def encode(texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        seen.extend(texts)
        return np.ones((len(texts), 384), np.float32)

    monkeypatch.setattr(ingredients, "texts", encode)
    rows = np.eye(3, 1280, dtype=np.float32)
    like = train_heads.Pairs.of(rows, [["a"], ["b"], ["c"]], lambda texts: np.eye(len(texts)))
    classes = ingredients.classes(like)
    assert 900 < len(classes) < 1000
    assert not held & {name.lower() for name in seen}


def test_the_packaged_heads_are_small_and_say_what_they_are() -> None:
    assert heads_file().stat().st_size < 10_000_000
    about = read_about(heads_file())
    assert about["recipe"] == train_heads.RECIPE.told()
    assert about["geometry"]["name"] == "sphere"


def test_the_packaged_heads_were_trained_on_these_towers_and_drawings(
    drawn: DrawnNames, heads: Lite0Heads, files: FileDigests
) -> None:
    about = read_about(heads_file())
    assert about["pairs"]["images"] == len(drawn.samples("train"))
    assert about["weights"] == Lite0(EncoderOptions(files=files)).weights_digest()


def test_other_heads_are_refused(files: FileDigests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "heads.safetensors"
    other.write_bytes(heads_file().read_bytes() + b" ")
    monkeypatch.setattr(module, "heads_file", lambda: other)
    with pytest.raises(DataError, match="expected " + module.HEADS_SHA256):
        Lite0Heads(EncoderOptions(files=files)).digest()


def test_the_cosine_of_the_mix_is_the_mean_of_both(
    lite0: Lite0, heads: Lite0Heads, mix: Lite0Mix, pixels: torch.Tensor
) -> None:
    cosines = [e.encode_images(pixels) @ e.encode_texts(TEXTS).T for e in (lite0, heads, mix)]
    # sums of 768 products in fp32
    torch.testing.assert_close(cosines[2], (cosines[0] + cosines[1]) / 2, atol=1e-5, rtol=0)


def test_prompts_are_tuned_in_the_space_of_the_images(heads: Lite0Heads, mix: Lite0Mix) -> None:
    for encoder in (heads, mix):
        tuner = encoder.prompt_tuner()
        context = tuner.context_of("a photo of a").requires_grad_()
        found = tuner.encode(context, ["cat", "dog"])
        expected = encoder.encode_texts(["a photo of a cat.", "a photo of a dog."])
        # the same words in another batch, in fp32
        torch.testing.assert_close(found.detach(), expected, atol=1e-4, rtol=0)
        found.sum().backward()
        assert context.grad is not None
        assert context.grad.abs().sum() > 0


def test_names_of_unseen_drawings_are_found_far_more_often_than_by_conse(
    lite0: Lite0, heads: Lite0Heads, drawn: DrawnNames
) -> None:
    # 66 drawings among their own names: a small piece of what train_heads reports.
    samples = [sample for sample in drawn.samples("test") if sample.domain == "material"][::13]
    transform = Transform(PREPROCESS)
    images = torch.from_numpy(np.stack([transform(s.image.open()) for s in samples if s.image is not None]))
    names = [sample.captions[0] for sample in samples]
    found = {
        encoder.name: ((encoder.encode_images(images) @ encoder.encode_texts(names).T).argmax(1))
        for encoder in (lite0, heads)
    }
    right = {name: int((best == torch.arange(len(names))).sum()) for name, best in found.items()}
    assert right["lite0-heads"] > 2 * right["lite0"] + 5
