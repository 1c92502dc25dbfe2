"""The few-shot task: k labelled images a class, a classifier on frozen features, accuracy on the test split.

Refuses to see a test label: it fits on train, selects on validation, predicts, and scores what the seal
hands out. Under the protocol ``published`` it repeats the rules of others, and rows of rules that looked at test
labels say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lpcm.adapters.prompt_map import in_space
from lpcm.adapters.published import Published
from lpcm.encoders.stored import SUFFIXES, read_table
from lpcm.errors import DataError, MissingError, UsageError, nearest
from lpcm.metrics.accuracy import accuracy
from lpcm.plugin.contracts import Adapter, Bench, Block, Disentangler
from lpcm.plugin.truth import Score
from lpcm.store.digest import file_digest
from lpcm.tasks.protocols import PROTOCOLS, FitOn, Rules
from lpcm.tasks.published_rule import SelectionRows, selection_rows
from lpcm.tasks.rows import Rows, ValSource, draw_rows
from lpcm.tasks.threads import blas_threads

SHOTS = (1, 2, 4, 8, 16)
SEEDS = (0, 1, 2, 3, 4)
REFERENCE = "zero-shot"
"""The adapter of the reference cell: no shots, no disentangler, one seed."""


class FewShot:
    """Few-shot classification over shots x seed x disentangler x adapter, with zero-shot as reference.

    Args:
        shots: labelled images a class; each value is a cell.
        fit_on: rows of the unmixing: ``"train"``, ``"shots"``, or the path of a features file; ``None``
            leaves it to the protocol.
        protocol: name of a protocol, see ``lpcm.tasks.protocols``.

    Attributes:
        settings: what the protocol asks of disentanglers and adapters where the study sets nothing.

    Source: shots and validation are CoOp's (Zhou et al. 2022): 1, 2, 4, 8, 16 and min(k, 4) a class.
    """

    def __init__(
        self,
        *,
        shots: Sequence[int] | int = SHOTS,
        fit_on: str | None = None,
        protocol: str = "clean",
    ) -> None:
        if protocol not in PROTOCOLS:
            raise UsageError(
                f"protocol is {protocol!r}: expected {' or '.join(map(repr, PROTOCOLS))}",
                nearest(protocol, PROTOCOLS),
            )
        self.shots = (shots,) if isinstance(shots, int) else tuple(shots)
        if not self.shots or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in self.shots):
            raise UsageError(
                f"shots is {shots!r}: expected whole numbers of 1 or more, for example 1,2,4,8,16"
            )
        self.protocol = PROTOCOLS[protocol]
        self.fit_on = self.protocol.fit_on.value if fit_on is None else fit_on
        self.settings = self.protocol.settings

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """Points to be run: for each encoder and dataset the reference, then the product.

        The reference needs an encoder that reads text: its adapter's record says so, and the runner leaves it
        out elsewhere.
        """
        adapters = [name for name in axes.get("adapter") or ("linear-probe",) if name != REFERENCE]
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                where = {"encoder": encoder, "dataset": dataset}
                yield {**where, "disentangler": "none", "adapter": REFERENCE, "shots": 0, "seed": 0}
                for disentangler in axes.get("disentangler") or ("none",):
                    for adapter in adapters:
                        for shots in dict.fromkeys(axes.get("shots") or self.shots):
                            for seed in axes.get("seed") or SEEDS:
                                how = {"disentangler": disentangler, "adapter": adapter}
                                yield {**where, **how, "shots": shots, "seed": seed}

    def oracle(self, axes: Mapping[str, Any]) -> bool:
        """Whether a cell may look at test labels while fitting: where its protocol repeats published rules.

        It does so only where the adapter's own rule did; only then is the row marked.
        """
        return self.protocol.rules is Rules.PUBLISHED and axes["shots"] != 0

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedFewShot:
        """Fit one cell on train, with settings selected on validation.

        Raises:
            DataError: when a class has too few images, or features are not finite.
            UsageError: when settings cannot be met, for example more components than the rows hold.
        """
        if len(bench.classes) < 2:
            raise DataError(
                f"the dataset has {len(bench.classes)} class: few-shot classification needs two or more",
                "its captions or factors may serve another task: retrieval or disentanglement",
            )
        train = bench.block("train").features
        with threadpool_limits(blas_threads(train.size * len(bench.classes)), user_api="blas"):
            if axes["shots"] == 0:
                return self._fit_reference(bench)
            return self._fit_shots(bench, axes)

    def score(self, predictions: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Score:
        """Accuracy, beside chance (1 / c) and the share of the commonest test label."""
        if len(predictions) != len(labels):
            raise DataError(f"{len(predictions)} predictions were given for {len(labels)} labels")
        majority = float(np.bincount(labels, minlength=classes).max() / len(labels))
        return Score(
            metric="accuracy",
            value=accuracy(labels, predictions),
            outcomes=(predictions == labels).astype(np.float64),
            null={"chance": 1.0 / classes, "majority": majority},
        )

    def _fit_reference(self, bench: Bench) -> FittedFewShot:
        train = bench.block("train")
        adapter = bench.adapter().fit(
            train.features[:0],
            train.labels[:0],
            classes=len(bench.classes),
            key=bench.key.fold("adapter"),
            text=bench.prompts(),
        )
        facts = {"protocol": self.protocol.name, "reference": REFERENCE, "adapter": dict(adapter.report())}
        return FittedFewShot(None, adapter, facts, adapter.selection, ())

    def _fit_shots(self, bench: Bench, axes: Mapping[str, Any]) -> FittedFewShot:
        shots = int(axes["shots"])
        train, own_val = bench.block("train"), _own_validation(bench)
        rows = draw_rows(
            train.labels,
            None if own_val is None else own_val.labels,
            shots,
            bench.key.fold("shots"),
            bench.classes,
        )
        labelled = train.take(rows.shots)
        val = (train if own_val is None else own_val).take(rows.val)
        unmixed_on, fit_facts = self._unmixing_rows(train, labelled, val, rows)
        disentangler = bench.disentangler(
            unmixed_on, bench.key.fold("disentangler"), **self._settings(axes["disentangler"])
        )
        rule, chosen_on, settings = self._selection(bench, axes["adapter"], val, own_val)
        judges = {} if chosen_on.judges is None else {"oracle": _labelled(disentangler, chosen_on.judges)}
        adapter = bench.adapter(**settings).fit(
            disentangler.transform(labelled.features),
            labelled.labels,
            classes=len(bench.classes),
            key=bench.key.fold("adapter"),
            val=_labelled(disentangler, chosen_on.val),
            text=in_space(bench.prompts(), disentangler, unmixed_on),
            **judges,
        )
        facts: dict[str, Any] = {
            "protocol": self.protocol.name,
            "shots": shots,
            "train_rows": len(labelled),
            "val_rows": len(val),
            "val_from": rows.val_source.value,
            **fit_facts,
            **chosen_on.facts,
            "disentangler": dict(disentangler.report()),
            "adapter": dict(adapter.report()),
        }
        warnings = [*facts["disentangler"].pop("warnings", ()), *facts["adapter"].pop("warnings", ())]
        leaks = [*self.protocol.leaks, *chosen_on.leaks]
        if leaks:
            facts["leaks"] = leaks
        selection = adapter.selection if rule is None else f"as published: {rule.rule}"
        if chosen_on.leaks:
            selection = f"oracle, by test labels; {selection}"
        return FittedFewShot(disentangler, adapter, facts, selection, tuple(warnings))

    def _selection(
        self, bench: Bench, adapter: str, few: Block, split: Block | None
    ) -> tuple[Published | None, SelectionRows, Mapping[str, Any]]:
        """The adapter's published rule where the protocol repeats it, what is chosen on, and its settings."""
        if self.protocol.rules is Rules.CLEAN:
            return None, SelectionRows(few), self._settings(adapter)
        rule: Published | None = getattr(bench.adapter(), "published", None)
        rows = selection_rows(rule, adapter=adapter, few=few, split=split, test=bench.oracle)
        return rule, rows, {} if rule is None else rule.settings

    def _settings(self, name: str) -> Mapping[str, Any]:
        """Look up what the protocol asks of ``name``, which may be spelt ``distribution:name``."""
        return next((self.settings[part] for part in name.split(":") if part in self.settings), {})

    def _unmixing_rows(
        self, train: Block, labelled: Block, val: Block, rows: Rows
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        if self.fit_on == FitOn.TRAIN.value:
            features = train.features[rows.unlabelled]
            what = "train rows, labels unused"
            if rows.val_source is ValSource.TRAIN:
                what += ", without those kept for validation"
            return features, {"fit_on": FitOn.TRAIN.value, "fit_rows": len(features), "fit_on_what": what}
        if self.fit_on == FitOn.SHOTS.value:
            facts = {"fit_rows": len(labelled), "fit_on_what": "the labelled shots, labels unused"}
            return labelled.features, {"fit_on": FitOn.SHOTS.value, **facts}
        if self.fit_on == FitOn.SHOTS_AND_VAL.value:
            features = np.concatenate([labelled.features, val.features])
            facts = {
                "fit_rows": len(features),
                "fit_on_what": "the shots and the validation rows, labels unused",
            }
            return features, {"fit_on": FitOn.SHOTS_AND_VAL.value, **facts}
        path = Path(self.fit_on).expanduser()
        features = _stored_features(path)
        if features.shape[1] != train.features.shape[1]:
            raise DataError(
                f"{path} holds features of width {features.shape[1]}: expected {train.features.shape[1]}",
                "give --fit-on a file that was extracted with the same encoder",
            )
        facts = {"fit_rows": len(features), "fit_on_what": f"{path.name}, sha256 {file_digest(path)}"}
        return features, {"fit_on": "file", **facts}


@dataclass(frozen=True, eq=False)
class FittedFewShot:
    """A fitted cell: a disentangler, an adapter, and what the row says of them."""

    _disentangler: Disentangler | None
    _adapter: Adapter
    facts: Mapping[str, Any]
    selection: str
    warnings: Sequence[str]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Predicted label of each row, (n, d) -> (n,)."""
        with threadpool_limits(blas_threads(features.size), user_api="blas"):
            if self._disentangler is not None:
                features = self._disentangler.transform(features)
            predicted: NDArray[np.int64] = self._adapter.logits(features).argmax(1).astype(np.int64)
            return predicted


def _labelled(disentangler: Disentangler, block: Block) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return disentangler.transform(block.features), block.labels


def _own_validation(bench: Bench) -> Block | None:
    return bench.block("val") if "val" in bench.splits() else None


def _stored_features(path: Path) -> NDArray[np.float32]:
    """The features of a file in the layout of the encoder ``features:FILE``."""
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"--fit-on is {str(path)!r}: expected {FitOn.TRAIN.value}, {FitOn.SHOTS.value}, or a features file"
            f" ending in {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise MissingError(f"--fit-on names {path}, which is not a file")
    return read_table(path).features
