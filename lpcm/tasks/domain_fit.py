"""How a cell of the domain task is fitted and scored. Refuses to leave a domain out where there is only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lpcm.adapters.prompt_map import in_space
from lpcm.adapters.tuning import Fold, Tunable
from lpcm.errors import DataError, UsageError
from lpcm.metrics.accuracy import accuracy
from lpcm.plugin.contracts import Adapter, Bench, Block, Disentangler
from lpcm.plugin.truth import Score
from lpcm.tasks.domain_settings import ALL_SHOTS, Rule, Shots
from lpcm.tasks.source_rows import SourceRows, draw_source_rows, lacking
from lpcm.tasks.threads import blas_threads

_NOT_TUNABLE = (
    "leave-one-domain-out: this adapter cannot be tuned over several domains (it has no tune()), so its settings "
    "were selected on held-out source rows, as by training-domain"
)


@dataclass(frozen=True, eq=False)
class FittedDomains:
    """A fitted cell: a disentangler, an adapter, the classes that the target can hold, and what the row says."""

    _disentangler: Disentangler | None
    _adapter: Adapter
    _allowed: tuple[int, ...]
    facts: Mapping[str, Any]
    selection: str
    warnings: Sequence[str]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Predicted label of each row among the target's classes, (n, d) -> (n,)."""
        with threadpool_limits(blas_threads(features.size), user_api="blas"):
            return _predict(self._disentangler, self._adapter, features, self._allowed)

    def score(self, predictions: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Score:
        """Accuracy, beside chance among the target's classes and the share of its commonest label."""
        return score_target(predictions, labels, self._allowed, classes)


def score_target(
    predictions: NDArray[np.int64], labels: NDArray[np.int64], allowed: Sequence[int], classes: int
) -> Score:
    """Accuracy on a target domain.

    Args:
        predictions: (n,) labels that were predicted.
        labels: (n,) true ones.
        allowed: labels that the target can hold; chance is one of them.
        classes: c of the dataset.

    Raises:
        DataError: when there are not as many predictions as labels.
    """
    if len(predictions) != len(labels):
        raise DataError(f"{len(predictions)} predictions were given for {len(labels)} labels")
    right = predictions == labels
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels, weights=right, minlength=classes)
    by_class = [float(hits[c] / counts[c]) if counts[c] else None for c in range(classes)]
    present = [value for value in by_class if value is not None]
    return Score(
        metric="accuracy",
        value=accuracy(labels, predictions),
        outcomes=right.astype(np.float64),
        null={"chance": 1.0 / len(allowed), "majority": float(counts.max() / len(labels))},
        details={
            "per_class": by_class,  # in the order of the dataset's classes; None without a test image
            "mean_per_class": float(np.mean(present)),
            "classes_without_images": [c for c in allowed if not counts[c]],
        },
    )


def fit_reference(bench: Bench) -> FittedDomains:
    """Fit nothing: zero-shot on the target, and on the rows that the trained cells of seed 0 validate on."""
    train, rows = _sources(bench, ALL_SHOTS)
    adapter = bench.adapter().fit(
        train.features[:0],
        train.labels[:0],
        classes=len(bench.classes),
        key=bench.key.fold("adapter"),
        text=bench.prompts(),
    )
    allowed = _allowed(bench)
    facts = {
        "reference": "zero-shot",
        "sources": list(rows.names),
        "allowed_classes": len(allowed),
        **_source_accuracy(train, rows, None, adapter, allowed),
        "adapter": dict(adapter.report()),
    }
    return FittedDomains(None, adapter, allowed, facts, adapter.selection, ())


def fit_by_rule(bench: Bench, rule: Rule, shots: Shots) -> FittedDomains:
    """Fit the cell's disentangler and adapter on the source domains.

    Args:
        bench: its train side holds the source domains, its test side the target.
        rule: how the adapter's settings are selected.
        shots: labelled rows a class and source domain.

    Raises:
        DataError: when a class of a source domain has too few images, or features are not finite.
        UsageError: when the rule cannot be followed, or settings cannot be met.
    """
    train, rows = _sources(bench, shots)
    with threadpool_limits(blas_threads(train.features.size * len(bench.classes)), user_api="blas"):
        return _fit(bench, train, rows, rule, shots)


def _sources(bench: Bench, shots: Shots) -> tuple[Block, SourceRows]:
    train = bench.block("train")
    count = None if shots == ALL_SHOTS else int(shots)
    return train, draw_source_rows(train, bench.classes, count, bench.key.fold("rows"))


def _fit(bench: Bench, train: Block, rows: SourceRows, rule: Rule, shots: Shots) -> FittedDomains:
    allowed = _allowed(bench)
    settings: Mapping[str, Any] = {}
    facts: dict[str, Any] = {
        "rule": rule.value,
        "sources": list(rows.names),
        "shots": shots,
        "train_rows": len(rows.train),
        "val_rows": len(rows.val),
        "source_rows": rows.counts(),
        "fit_rows": len(rows.unlabelled),
        "fit_on_what": "rows of the source domains, labels unused, without those that validate",
        "allowed_classes": len(allowed),
    }
    warnings = list(lacking(train, bench.classes, allowed))
    selected_by = f"{rule.value}: "
    if rule is Rule.LEAVE_ONE_DOMAIN_OUT:
        _refuse_single(rows)
        chooser = bench.adapter()
        if isinstance(chooser, Tunable):
            tuned = chooser.tune(
                _Folds(bench, train, rows), classes=len(bench.classes), key=bench.key.fold("adapter")
            )
            settings = tuned.settings
            facts["tuned"] = {"left_out": list(rows.names), **settings, **tuned.facts}
            selected_by += f"mean over {len(rows.names)} left-out source domains; "
        else:
            warnings.append(_NOT_TUNABLE)
            selected_by += "not followed, as by training-domain; "

    disentangler = _unmix(bench, train.features[rows.unlabelled])
    if rule is Rule.ORACLE:
        target = bench.oracle()
        val = (disentangler.transform(target.features), target.labels)
        selected_by += "on the labelled target domain; "
    else:
        val = (disentangler.transform(train.features[rows.val]), train.labels[rows.val])
    adapter = bench.adapter(**settings).fit(
        disentangler.transform(train.features[rows.train]),
        train.labels[rows.train],
        classes=len(bench.classes),
        key=bench.key.fold("adapter"),
        val=val,
        text=in_space(bench.prompts(), disentangler, train.features[rows.unlabelled]),
    )
    facts |= _source_accuracy(train, rows, disentangler, adapter, allowed)
    facts |= {"disentangler": dict(disentangler.report()), "adapter": dict(adapter.report())}
    warnings += [*facts["disentangler"].pop("warnings", ()), *facts["adapter"].pop("warnings", ())]
    return FittedDomains(
        disentangler, adapter, allowed, facts, selected_by + adapter.selection, tuple(warnings)
    )


class _Folds(Sequence[Fold]):
    """Each source domain left out in turn: unmixed and trained without it, judged by its labelled rows.

    A fold is made when it is looked at: an adapter that has nothing to choose looks at none.
    """

    def __init__(self, bench: Bench, train: Block, rows: SourceRows) -> None:
        self._bench, self._train, self._rows = bench, train, rows
        self._made: dict[str, Fold] = {}

    def __len__(self) -> int:
        return len(self._rows.names)

    def __getitem__(self, place: Any) -> Any:
        name = self._rows.names[place]
        if name not in self._made:
            self._made[name] = self._without(name)
        return self._made[name]

    def _without(self, name: str) -> Fold:
        train, rows = self._train, self._rows
        unmixed_on = train.features[rows.without(rows.unlabelled, name)]
        disentangler = _unmix(self._bench, unmixed_on)
        fitted = rows.without(rows.train, name)
        judged = rows.inside(np.sort(np.concatenate([rows.train, rows.val])), name)
        return Fold(
            disentangler.transform(train.features[fitted]),
            train.labels[fitted],
            (disentangler.transform(train.features[judged]), train.labels[judged]),
            in_space(self._bench.prompts(), disentangler, unmixed_on),
        )


def _refuse_single(rows: SourceRows) -> None:
    if len(rows.names) < 2:
        raise UsageError(
            f"leave-one-domain-out needs two or more source domains, and there is one: {rows.names[0]!r}",
            "select on its own held-out rows: --set domains.rule=training-domain",
        )


def _unmix(bench: Bench, features: NDArray[np.float32]) -> Disentangler:
    # One key for all: cells with the same rows then share the fit, for example leaving out photo for the target
    # sketch and leaving out sketch for the target photo.
    return bench.disentangler(features, bench.key.fold("disentangler"))


def _source_accuracy(
    train: Block,
    rows: SourceRows,
    disentangler: Disentangler | None,
    adapter: Adapter,
    allowed: tuple[int, ...],
) -> dict[str, Any]:
    """Accuracy on the held-out rows of each source domain, among the target's classes, so that the two compare."""
    found: dict[str, float] = {}
    for name in rows.names:
        held = rows.inside(rows.val, name)
        held = held[np.isin(train.labels[held], allowed)]
        if len(held):
            predicted = _predict(disentangler, adapter, train.features[held], allowed)
            found[name] = accuracy(train.labels[held], predicted)
    if not found:
        return {}
    return {"source_accuracy": float(np.mean(list(found.values()))), "source_accuracies": found}


def _predict(
    disentangler: Disentangler | None,
    adapter: Adapter,
    features: NDArray[np.float32],
    allowed: tuple[int, ...],
) -> NDArray[np.int64]:
    if disentangler is not None:
        features = disentangler.transform(features)
    among = np.array(allowed)
    predicted: NDArray[np.int64] = among[adapter.logits(features)[:, among].argmax(1)].astype(np.int64)
    return predicted


def _allowed(bench: Bench) -> tuple[int, ...]:
    allowed = bench.allowed
    return tuple(range(len(bench.classes))) if allowed is None else tuple(allowed)
