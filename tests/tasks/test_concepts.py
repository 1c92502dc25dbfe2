"""The concepts task: planted concepts are found, named and shown; what is not there is said not to be there."""

import io
import json
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lpcm.disentanglers.records import RECORDS as DISENTANGLERS
from lpcm.errors import DataError, SealError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block, TextPrompts
from lpcm.plugin.host import PluginHost
from lpcm.study.runner import Runner
from lpcm.study.spec import Study
from lpcm.tasks.concepts import Concepts
from lpcm.tasks.concepts_images import STEPS
from lpcm.tasks.concepts_sheet import GAP, MARGIN

N, D, K = 1201, 32, 12
CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
PLANTED = (
    *("accordion", "ambulance", "bagel", "goldfish", "iPod", "jeep"),
    *("lipstick", "pirate ship", "toaster", "vase", "volcano", "zebra"),
)  # words of ImageNet
MIXING = Key.of(0).fold("mixing").generator().standard_normal((D, K))
CLOSE = 12  # levels of 255: what JPEG changes in a plain square


def sources(kind, n=N, split="train"):
    generator = Key.of(0).fold("sources", kind, split).generator()
    if kind == "gaussian":
        return generator.standard_normal((n, K))
    return generator.exponential(size=(n, K)) * (generator.random((n, K)) < 0.2)


def block(kind, n=N, split="train", domains=()):
    z = sources(kind, n, split)
    noise = Key.of(0).fold("noise", split).generator().standard_normal((n, D))
    labels = np.where(z.max(1) > 1.5, z.argmax(1) % 5, 5 + np.arange(n) % 2)
    where = tuple(domains[i % len(domains)] if domains else "" for i in range(n))
    features = (z @ MIXING.T + 0.05 * noise).astype(np.float32)
    return Block(features, labels, tuple(f"{split}/{i}" for i in range(n)), where)


def colour(row):
    return (40 + row % 180, 40 + row // 180 * 20 % 180, 128)


def vector(text):
    for place, word in enumerate(PLANTED):
        if word in text:
            return 3 * MIXING[:, place]
    return Key(zlib.crc32(text.encode()).to_bytes(16, "big")).generator().standard_normal(D)


class Bench:
    """Planted sources in ``kind`` of distribution, texts that name them, and a colour for each image."""

    def __init__(
        self, disentangler="ica", *, kind="sparse", text=True, images=True, seed=0, domains=(), made=None
    ):
        self.key = Key.of(seed).fold("cell", "digest")
        self.classes = CLASSES
        self.train = block(kind, domains=domains)
        self.closed = False
        self._name, self._text, self._images, self._made = disentangler, text, images, made

    def splits(self):
        return ("train",)

    def block(self, split):
        assert split == "train"
        return self.train

    def prompts(self, templates=None):
        rows = np.stack([vector(f"class {name}") for name in CLASSES]).astype(np.float32)
        return TextPrompts(rows, CLASSES) if self._text else None

    def texts(self, strings):
        if self.closed:
            raise SealError("late")
        return np.stack([vector(text) for text in strings]).astype(np.float32) if self._text else None

    def pictures(self, ids, size):
        if not self._images:
            raise DataError("sample 'train/0' has no image, only features")
        return [Image.new("RGB", (size, size), colour(int(name.split("/")[1]))) for name in ids]

    def disentangler(self, rows, key, **settings):
        if self._made is not None:
            return self._made().fit(rows)
        (record,) = [record for record in DISENTANGLERS if record.name == self._name]
        module, _, attribute = record.loader.partition(":")
        settings = {**settings, "k": K} if "k" in settings else settings
        return getattr(import_module(module), attribute)(random_state=key.random_state(), **settings).fit(
            rows
        )


def axes(disentangler="ica"):
    return {"encoder": "e", "dataset": "s", "disentangler": disentangler, "seed": 0}


def fit(disentangler="ica", settings=None, **bench):
    task = Concepts(**{"components": 3, "images": 4, "thumbnail": 48, **(settings or {})})
    return task, task.fit(Bench(disentangler, **bench), axes(disentangler))


def scored(task, fitted, kind="sparse"):
    return task.score(fitted.predict(block(kind, 333, "test").features), None, len(CLASSES))


def table(fitted):
    return json.loads(fitted.exhibits["concepts.json"])["components"]


@pytest.fixture(scope="module")
def planted():
    return fit()


def test_planted_concepts_are_identified_and_named(planted):
    task, fitted = planted
    score = scored(task, fitted)
    assert (score.metric, score.value) == ("identified", 1.0)
    assert score.null["chance"] < 0.05
    assert fitted.facts["headline"] == "identified 12 of 12 components"
    assert {line["upper_texts"][0]["text"] for line in table(fitted)} == set(PLANTED)
    assert not any(line["lower_text_stands_out"] for line in table(fitted))
    assert all(line["upper_text_stands_out"] for line in table(fitted))
    assert fitted.facts["texts"]["words"].keys() == {"classes", "imagenet"}


def test_each_component_is_the_source_that_its_text_says(planted):
    _, fitted = planted
    codes, identified = fitted.predict(block("sparse").features)
    assert codes.shape == (N, K)
    assert identified.all()
    for line in table(fitted):
        source = sources("sparse")[:, PLANTED.index(line["upper_texts"][0]["text"])]
        # Noise of 0.05 against a source of deviation about 0.6; the sign is the source's own, skewed to the right.
        assert np.corrcoef(codes[:, line["component"]], source)[0, 1] > 0.98
        assert line["kurtosis"] > 3
        assert line["hoyer"] > 0.25
        assert line["class_purity"] == 1.0


def test_the_order_is_by_identification_then_by_distance_from_gaussian():
    _, fitted = fit("whiten")
    lines = table(fitted)
    assert [line["component"] for line in lines] != sorted(line["component"] for line in lines)
    ranks = [(not line["identified"], -line["nongaussianity"]) for line in lines]
    assert ranks == sorted(ranks)


def test_labels_change_nothing_but_what_is_said_of_labels(planted):
    bench = Bench()
    bench.train = Block(
        bench.train.features, bench.train.labels[::-1].copy(), bench.train.ids, bench.train.domains
    )
    fitted = Concepts(components=3, images=4, thumbnail=48).fit(bench, axes())
    said_of_labels = ("class_", "text_image_")

    def rest(lines):
        return [{k: v for k, v in line.items() if not k.startswith(said_of_labels)} for line in lines]

    assert rest(table(fitted)) == rest(table(planted[1]))
    assert fitted.exhibits.keys() == planted[1].exhibits.keys()


def test_gaussian_features_are_not_identified_and_not_said_to_be():
    task, fitted = fit(kind="gaussian")
    assert scored(task, fitted, "gaussian").value == 0.0
    assert b'tr class="not"' in fitted.exhibits["index.html"]
    assert any("do not read meaning into single components" in warning for warning in fitted.warnings)


def test_nothing_is_identified_in_a_random_rotation_nor_in_the_features_themselves():
    for name, words in (("rotation", None), ("none", "the map does not depend on the rows")):
        task, fitted = fit(name, {"pictures": False})
        assert scored(task, fitted).value == 0.0
        assert fitted.facts["stability"]["identified"] == 0
        assert words is None or any(words in warning for warning in fitted.warnings)


def test_principal_axes_that_are_found_again_are_said_to_be_just_that():
    _, fitted = fit("whiten", {"pictures": False})
    assert fitted.facts["stability"]["decided_by"] == "variance"
    if fitted.facts["stability"]["identified"]:
        assert any("wherever variances differ" in warning for warning in fitted.warnings)


def test_sheets_show_the_images_at_the_ends(planted):
    _, fitted = planted
    codes, _ = fitted.predict(block("sparse").features)
    sheets = sorted(name for name in fitted.exhibits if name.startswith("component-"))
    assert sheets == sorted(f"component-{line['component']:03d}.jpg" for line in table(fitted)[:3])
    for name in sheets:
        pixels = np.array(Image.open(io.BytesIO(fitted.exhibits[name]))).astype(int)
        place = int(name[10:13])
        # Float32 of two products in another order may swap neighbours of equal value, so ties are let through.
        order = np.argsort(-codes[:, place], kind="stable")[:4]
        for number, row in enumerate(order):
            shown = pixels[MARGIN + 128 + 26 + 24, MARGIN + number * (48 + GAP) + 24]
            assert np.abs(shown - colour(int(row))).max() <= CLOSE


def test_the_images_are_named_with_their_values(planted):
    _, fitted = planted
    codes, _ = fitted.predict(block("sparse").features)
    for line in table(fitted):
        column = codes[:, line["component"]]
        for images, extreme in ((line["upper_images"], column.max()), (line["lower_images"], column.min())):
            assert len(images) == 4
            assert images[0]["value"] == pytest.approx(extreme, abs=1e-3)  # rounded to four digits, float32
            for image in images:
                row = int(image["id"].removeprefix("train/"))
                assert image["value"] == pytest.approx(column[row], abs=1e-3)
        assert [step["quantile"] for step in line["strip"]] == list(STEPS)


def test_the_same_cell_gives_the_same_bytes(planted):
    _, again = fit()
    assert again.facts == planted[1].facts
    assert dict(again.exhibits) == dict(planted[1].exhibits)


def test_every_file_is_named_by_the_page_and_there(planted):
    _, fitted = planted
    page = fitted.exhibits["index.html"].decode()
    assert all(f'"{name}"' in page for name in fitted.exhibits if name != "index.html")
    assert fitted.exhibits["overview.jpg"][:2] == b"\xff\xd8"


def test_without_images_the_numbers_are_there_and_the_row_says_so(planted):
    _, fitted = fit(images=False)
    assert set(fitted.exhibits) == {"concepts.json", "concepts.csv", "index.html"}
    assert table(fitted) == table(planted[1])
    assert any(
        warning.startswith("no pictures: sample 'train/0' has no image") for warning in fitted.warnings
    )


def test_pictures_that_nobody_wants_are_not_asked_for():
    _, fitted = fit(settings={"pictures": False}, images=False)
    assert set(fitted.exhibits) == {"concepts.json", "concepts.csv", "index.html"}
    assert not fitted.warnings


def test_an_encoder_without_text_has_components_without_names():
    task, fitted = fit(text=False)
    assert scored(task, fitted).value == 1.0
    assert "texts" not in fitted.facts
    assert "upper_texts" not in table(fitted)[0]
    assert "overview.jpg" in fitted.exhibits


class Curved:
    """A map that is not linear, and cannot say where a text would be."""

    def fit(self, rows):
        self._mean = rows.mean(0)
        return self

    def transform(self, rows):
        return np.tanh(rows - self._mean)[:, :K]

    def report(self):
        return {}


def test_a_map_that_is_not_linear_is_judged_and_not_named():
    task, fitted = fit("curved", made=Curved)
    assert "upper_texts" not in table(fitted)[0]
    assert any("no linear map" in warning for warning in fitted.warnings)
    assert fitted.facts["stability"]["of"] == K
    assert np.isfinite(scored(task, fitted).value)


def test_domains_are_told_apart_where_there_are_some(planted):
    _, fitted = fit(settings={"pictures": False}, domains=("photo", "sketch", "map"))
    assert fitted.facts["domain"]["entropy_bits"] == pytest.approx(np.log2(3), abs=1e-4)
    assert (
        abs(fitted.facts["domain"]["told_median"]) < 0.02
    )  # they take turns: components know nothing of them
    assert "domain" not in planted[1].facts


def test_words_of_a_file_are_used_and_are_part_of_the_cell(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("a very rare word\nZEBRA\n")
    cells = [dict(c) for c in Concepts(words=str(file)).cells({"encoder": ["e"], "dataset": ["s"]})]
    _, fitted = fit(settings={"words": str(file), "pictures": False})
    assert fitted.facts["texts"]["words"]["words.txt"] == 2
    sources_of = {near["text"]: near["source"] for line in table(fitted) for near in line["upper_texts"]}
    assert "zebra" not in sources_of  # spelt as in the file, which goes before ImageNet
    file.write_text("another word\n")
    assert cells != [dict(c) for c in Concepts(words=str(file)).cells({"encoder": ["e"], "dataset": ["s"]})]


def test_cells_are_the_product():
    study = {"encoder": ["e", "f"], "dataset": ["s"], "disentangler": ["none", "ica"], "seed": [0, 3]}
    cells = [tuple(cell.values()) for cell in Concepts().cells(study)]
    assert len(cells) == len(set(cells)) == 8
    assert list(Concepts().cells({"encoder": ["e"], "dataset": ["s"]})) == [axes("none")]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"components": 0}, "concepts.components is 0: expected a whole number from 1"),
        ({"images": True}, "concepts.images is True"),
        ({"thumbnail": 7}, "from 32 to 512"),
        ({"template": "a photo"}, "expected one {}, where the word goes"),
        ({"certificate": "none"}, "expected 'quick' or 'full'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(UsageError, match=words.replace("{", r"\{")):
        Concepts(**settings)


def test_a_missing_file_of_words_is_said_before_anything_runs():
    with pytest.raises(UsageError, match="not a file"):
        list(Concepts(words="nowhere.txt").cells({"encoder": ["e"], "dataset": ["s"]}))


def test_features_that_do_not_vary_are_refused():
    bench = Bench()
    bench.train = Block(
        np.ones_like(bench.train.features), bench.train.labels, bench.train.ids, bench.train.domains
    )
    with pytest.raises(DataError, match="constant"):
        Concepts().fit(bench, axes())


def test_one_test_row_is_enough(planted):
    task, fitted = planted
    score = task.score(fitted.predict(block("sparse", 1, "test").features), None, len(CLASSES))
    assert score.details["test_kurtosis_median"] is None


def test_a_run_keeps_the_pictures_beside_its_rows(tmp_path):
    host = PluginHost.discover(files=[Path(__file__).parents[1] / "study" / "toy_plugin.py"])
    asked = {"encoder": "toy", "task": "concepts", "dataset": "toy", "disentangler": "ica", "seeds": "1"}
    study = Study.parse({**asked, "set": {"ica.k": 3, "concepts.components": 2}}, "test")
    finished = Runner(host, tmp_path / "store", None).run(study, None, tmp_path / "runs")
    (row,) = finished.rows
    assert row["status"] == "done", row
    (folder,) = (tmp_path / "runs").glob("*/exhibits/*")
    assert {"index.html", "overview.jpg", "concepts.csv"} < {file.name for file in folder.iterdir()}
    assert row["facts"]["texts"]["words"]["classes"] == 4
