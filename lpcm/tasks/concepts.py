"""The concepts task: what each component of a disentangler looks like, and whether it is there at all.

Refuses to look at labels when it fits, counts, orders or chooses; they are used once, beside chance, to say how a
component goes with classes and domains. It scores no test label: the score is the share of components that refits
find again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lpcm.disentanglers.certificate import Effort
from lpcm.errors import UsageError
from lpcm.plugin.contracts import Bench, Block, Disentangler
from lpcm.plugin.truth import Score, Truth
from lpcm.store.digest import file_digest
from lpcm.tasks.concepts_exhibits import Layout, make_exhibits
from lpcm.tasks.concepts_judged import Judged
from lpcm.tasks.concepts_measures import Mixtures, Oriented, measure
from lpcm.tasks.concepts_purity import Purity, judge_purity
from lpcm.tasks.concepts_stability import chance_identified, refit
from lpcm.tasks.concepts_texts import Naming, name_components
from lpcm.tasks.concepts_vocabulary import TEMPLATE, Words, imagenet_words, read_words, without_repeats
from lpcm.tasks.threads import blas_threads

SEEDS = (0,)
COMPONENTS = 32
"""Components asked of a built-in disentangler where the study sets nothing."""

_TAKES_K = ("pca", "whiten", "rotation", "ica", "pca-ica")
_FEWEST_ROWS = 8  # test samples below which a fourth moment says nothing
_SIDES = range(32, 513)


class Concepts:
    """Components judged and shown, over encoder x dataset x disentangler x seed.

    Args:
        components: how many are shown on a sheet of their own; the tables hold all.
        images: images at each end of a component.
        thumbnail: side of a thumbnail, 32 to 512 pixels.
        pictures: whether sheets are drawn.
        words: a text file of more words to name components with, one a line.
        template: what ImageNet's words and those of the file are put into; holds one ``{}``.
        certificate: how much is refitted: ``"quick"`` or ``"full"``.

    Attributes:
        truth: nothing; the task judges the fit.

    Source: the count is the certificate's (``docs/disentanglers/certificate.md``); reading concepts off the most
    activating inputs is Zeiler and Fergus 2014, section 4; traversals are those of arXiv 2402.06223, section 6, with
    images of the dataset in place of a decoder's.
    """

    truth = Truth.NOTHING

    def __init__(
        self,
        *,
        components: int = 16,
        images: int = 8,
        thumbnail: int = 112,
        pictures: bool = True,
        words: str | None = None,
        template: str = TEMPLATE,
        certificate: str = Effort.QUICK.value,
    ) -> None:
        for name, value, allowed in (
            ("components", components, range(1, 100_000)),
            ("images", images, range(1, 65)),
            ("thumbnail", thumbnail, _SIDES),
        ):
            if isinstance(value, bool) or value not in allowed:
                raise UsageError(
                    f"concepts.{name} is {value!r}: expected a whole number from {allowed[0]} to {allowed[-1]}"
                )
        if template.count("{}") != 1:
            raise UsageError(
                f"concepts.template is {template!r}: expected one {{}}, where the word goes",
                f"for example {TEMPLATE!r}",
            )
        if certificate not in (Effort.QUICK.value, Effort.FULL.value):
            raise UsageError(f"concepts.certificate is {certificate!r}: expected 'quick' or 'full'")
        self.layout = Layout(components, images, thumbnail, pictures)
        self.words = None if words is None else Path(words).expanduser()
        self.template = template
        self.effort = Effort(certificate)

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """Points to be run: the product.

        A file of words is part of the cell, by its digest, so that an edited file is another cell.

        Raises:
            UsageError: when the file of words is not there.
            DataError: when it holds none.
        """
        named: dict[str, str] = {}
        if self.words is not None:
            read_words(self.words)  # what is wrong with it is said before anything runs
            named = {"words": file_digest(self.words)[:12]}
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for disentangler in axes.get("disentangler") or ("none",):
                    for seed in axes.get("seed") or SEEDS:
                        where = {"encoder": encoder, "dataset": dataset, "disentangler": disentangler}
                        yield {**where, **named, "seed": seed}

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedConcepts:
        """Fit the cell's disentangler on the training side, without labels; judge and show its components.

        Raises:
            DataError: when features are not finite or do not vary.
            UsageError: when settings cannot be met.
        """
        train = bench.block("train")
        with threadpool_limits(blas_threads(train.features.size * COMPONENTS), user_api="blas"):
            return self._fit(bench, train, axes)

    def score(self, predictions: tuple[NDArray[Any], ...], truth: None, classes: int) -> Score:
        """The share of components that were identified, beside what rotations of no meaning give.

        There are no outcomes to resample: components are no sample of anything, and the i-th of one fit is not the
        i-th of another.
        """
        codes, identified = predictions
        enough = len(codes) >= _FEWEST_ROWS
        kurtosis = measure(Oriented.of(codes).values).medians()["kurtosis"] if enough else None
        return Score(
            metric="identified",
            value=float(identified.mean()),
            null={"chance": chance_identified(len(identified), self.effort)},
            details={
                "identified": [int(place) for place in np.flatnonzero(identified)],
                "test_kurtosis_median": kurtosis,
            },
        )

    def _fit(self, bench: Bench, train: Block, axes: Mapping[str, Any]) -> FittedConcepts:
        settings: dict[str, Any] = {}
        if axes["disentangler"].rpartition(":")[2] in _TAKES_K:
            settings = {"k": COMPONENTS, "excess": "cap"}

        def unmix(rows: NDArray[np.float32], *names: str | int) -> Disentangler:
            return bench.disentangler(rows, bench.key.fold(*names), **settings)

        made = unmix(train.features, "disentangler")
        view = Oriented.of(np.asarray(made.transform(train.features)))
        stability = refit(
            made,
            lambda rows, state: unmix(rows, "refit", state),
            train.features,
            self.effort,
            bench.key.fold("stability"),
        )
        mixtures = Mixtures.of(view.values, bench.key)
        judged = Judged(
            view,
            stability,
            measure(view.values),
            mixtures.nongaussianity(),
            _purities(bench, train, view, mixtures, self.layout.images),
            self._naming(bench, train, made, view),
        )
        title = f"Concepts: {axes['disentangler']} of {axes['encoder']} on {axes['dataset']}"
        exhibits = make_exhibits(bench, train, judged, self.layout, title, {"cell": dict(axes)})
        report = dict(made.report())
        warnings = [*stability.warnings(), *report.pop("warnings", ()), *exhibits.missing]
        if judged.naming is None and bench.prompts() is not None:
            warnings.append("no texts: the disentangler has no linear map that they could be seen through")
        facts = {**judged.facts(), "disentangler": report}
        return FittedConcepts(made, judged, facts, tuple(warnings), exhibits.files)

    def _naming(self, bench: Bench, train: Block, made: Disentangler, view: Oriented) -> Naming | None:
        prompts = bench.prompts()
        components = getattr(made, "components_", None)
        if prompts is None or components is None:
            return None
        classes = Words("classes", tuple(bench.classes))
        own = () if self.words is None else (read_words(self.words),)
        groups: list[tuple[Sequence[Words], NDArray[np.floating]]] = [((classes,), prompts.features)]
        # Each place is encoded whole, so that what is kept of it serves every dataset.
        places = (*own, imagenet_words())
        known = {word: row for place in places for word, row in self._encoded(bench, place)}
        more = without_repeats(classes, *places)[1:]
        if more:
            # They share a template and so a mean: as one group, even a single word has a place in it.
            groups.append((more, np.stack([known[word] for words in more for word in words.words])))
        directions = np.asarray(components, np.float64) * view.factors[:, None]
        means = _class_means(train, view, len(bench.classes))
        return name_components(directions, groups, means, bench.key.fold("texts"))

    def _encoded(self, bench: Bench, place: Words) -> Iterator[tuple[str, NDArray[np.float32]]]:
        features = bench.texts([self.template.replace("{}", word) for word in place.words])
        assert features is not None  # there are prompts
        return zip(place.words, features, strict=True)


@dataclass(frozen=True, eq=False)
class FittedConcepts:
    """A fitted cell: a disentangler and what was found of its components."""

    _disentangler: Disentangler
    _judged: Judged
    facts: Mapping[str, Any]
    warnings: Sequence[str]
    exhibits: Mapping[str, bytes]
    selection: str = (
        "none: nothing is chosen; sheets are ordered by refits and distance from Gaussian, without labels"
    )

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """Codes of test rows on the scale of the training side, (n, k) float32, and (k,) what was identified."""
        with threadpool_limits(blas_threads(features.size * COMPONENTS), user_api="blas"):
            codes = np.asarray(self._disentangler.transform(features))
        return self._judged.view.see(codes), self._judged.stability.identified


def _purities(bench: Bench, train: Block, view: Oriented, mixtures: Mixtures, top: int) -> tuple[Purity, ...]:
    domains = sorted(set(train.domains))
    places = {name: place for place, name in enumerate(domains)}
    asked = (
        ("class", train.labels, bench.classes),
        ("domain", np.array([places[d] for d in train.domains]), tuple(domains)),
    )
    found = [
        judge_purity(what, labels, names, view.values, mixtures, top, bench.key)
        for what, labels, names in asked
    ]
    return tuple(purity for purity in found if purity is not None)


def _class_means(train: Block, view: Oriented, classes: int) -> NDArray[np.float64]:
    """(k, c) mean value of each class's images; NaN for a class without any."""
    counts = np.bincount(train.labels, minlength=classes)
    sums = np.stack([np.bincount(train.labels, column, minlength=classes) for column in view.values.T])
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means
