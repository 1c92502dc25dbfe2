"""Domain generalisation: train on source domains, select by a named rule, test on a domain that was not there.

Refuses to see a target label, except under the rule ``oracle``, which exists to show what that is worth and
marks its rows. Which cells and which samples there are; how one is fitted is in ``lpcm.tasks.domain_fit``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.errors import DataError
from lpcm.plugin.contracts import Bench
from lpcm.plugin.truth import Partition, Roster, Score
from lpcm.tasks.domain_settings import (
    ALL_SHOTS,
    NO_RULE,
    Names,
    Rule,
    Shots,
    choose_targets,
    read_names,
    read_rules,
    read_shots,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lpcm.tasks.domain_fit import FittedDomains

SEEDS = (0, 1, 2, 3, 4)
TRAIN, TEST = "train", "test"
REFERENCE = "zero-shot"
"""The adapter of the reference cell: no training, no rule, no disentangler, one seed."""


class Domains:
    """Domain generalisation over target x rule x disentangler x adapter x shots x seed.

    The disentangler is fitted on features of the source domains alone, without their labels and without the rows
    that validate.

    Args:
        target: domains to test on, each a cell; ``()`` takes every domain, or with ``sources`` every other one.
        sources: domains to train on; ``()`` takes every domain but the target, or where some domains hold test
            images only, those that do not.
        rule: names of rules, see ``lpcm.tasks.domain_settings.Rule``; each is a cell.
        shots: labelled images a class and source domain, each value a cell; ``"all"`` takes all but the held-out
            fifth.
        source_splits: splits of the dataset of which the source domains' rows are taken; ``()`` takes all, or where
            some domains hold test images only, all but the test split.

    Attributes:
        pooled: the axis over which the summary averages.

    Source: the rules, the held-out fifth and testing on all of the target are DomainBed's (Gulrajani and
    Lopez-Paz 2021, "In search of lost domain generalization"); the target's own subset of classes is that of
    ImageNet-A and -R (Hendrycks et al. 2021).
    """

    pooled = "target"

    def __init__(
        self,
        *,
        target: Names = (),
        sources: Names = (),
        rule: Names = (Rule.TRAINING_DOMAIN.value,),
        shots: Sequence[Shots] | Shots = (ALL_SHOTS,),
        source_splits: Names = (),
    ) -> None:
        self.target = read_names(target, "domains.target")
        self.sources = read_names(sources, "domains.sources")
        self.source_splits = read_names(source_splits, "domains.source_splits")
        self.rules = read_rules(rule)
        self.shots = read_shots(shots)

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """Points to be run: for each encoder and target the reference, then the product.

        A dataset without domains has one cell, whose row says so.

        Raises:
            UsageError: for a domain that no dataset of the study has.
        """
        adapters = [name for name in axes.get("adapter") or ("linear-probe",) if name != REFERENCE]
        targets = choose_targets(axes.get("domain", ()), axes["dataset"], self.sources, self.target)
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for target in targets[dataset]:
                    where = {"encoder": encoder, "dataset": dataset, "target": target}
                    reference = {"rule": NO_RULE, "disentangler": "none", "adapter": REFERENCE}
                    yield {**where, **reference, "shots": 0, "seed": 0}
                    for how in self._product(axes, adapters):
                        yield {**where, **how}
                if not targets[dataset]:
                    where = {"encoder": encoder, "dataset": dataset, "target": NO_RULE, "rule": NO_RULE}
                    yield {**where, "disentangler": "none", "adapter": REFERENCE, "shots": 0, "seed": 0}

    def _product(
        self, axes: Mapping[str, Sequence[Any]], adapters: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        for rule in self.rules:
            for disentangler in axes.get("disentangler") or ("none",):
                for adapter in adapters:
                    for shots in self.shots:
                        for seed in axes.get("seed") or SEEDS:
                            how = {"rule": rule.value, "disentangler": disentangler, "adapter": adapter}
                            yield {**how, "shots": shots, "seed": seed}

    def partition(self, roster: Roster, axes: Mapping[str, Any]) -> Partition:
        """The sources train, the target tests; validation rows are held out of the sources when it is fitted.

        Raises:
            DataError: when the dataset has no domains, or no row is left on a side.
        """
        domains, splits = np.array(roster.domains), np.array(roster.splits)
        known = tuple(dict.fromkeys(name for name in roster.domains if name))
        if not known:
            raise DataError(
                f"dataset {axes['dataset']!r} has no domains: the task 'domains' needs two or more",
                "choose one that has (lpcm-eval ls datasets), or lay a folder out as PATH/DOMAIN/CLASS/*",
            )
        target = axes["target"]
        trainable = {
            name for name, split in zip(roster.domains, roster.splits, strict=True) if split == TRAIN
        }
        # Where some domains hold test images only, as those of ImageNet's family do, the dataset says by this
        # what is trained on; where all hold all splits, or none does, splits say nothing of domains.
        told = [name for name in known if name in trainable and len(trainable) < len(known)]
        sources = self._sources_of(target, known, told)
        train = np.isin(domains, sources)
        if self.source_splits:
            train &= np.isin(splits, self.source_splits)
        elif told:
            train &= ~(np.isin(domains, told) & (splits == TEST))
        test = (domains == target) & ~train
        for side, rows, named in (("source", train, sources), ("target", test, (target,))):
            if not rows.any():
                raise DataError(
                    f"no image of dataset {axes['dataset']!r} is left on the {side} side "
                    f"({', '.join(named) or 'no domain'})",
                    f"its domains are {', '.join(known)}, its splits {', '.join(dict.fromkeys(roster.splits))}",
                )
        return Partition(np.flatnonzero(train), np.empty(0, np.int64), np.flatnonzero(test))

    def _sources_of(self, target: str, known: Sequence[str], told: Sequence[str]) -> tuple[str, ...]:
        """The domains that are trained on: a target among several is not, a target alone is."""
        named = [name for name in known if name in self.sources] or list(told) or list(known)
        return tuple(name for name in named if name != target) or tuple(named)

    def oracle(self, axes: Mapping[str, Any]) -> bool:
        """Whether a cell's rule looks at target labels."""
        return bool(axes["rule"] == Rule.ORACLE.value)

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedDomains:
        """Fit one cell on the source domains, with settings selected by its rule.

        Raises:
            DataError: when a class of a source domain has too few images, or features are not finite.
            UsageError: when the rule cannot be followed, or settings cannot be met.
        """
        from lpcm.tasks.domain_fit import fit_by_rule, fit_reference

        if axes["rule"] == NO_RULE:
            return fit_reference(bench)
        return fit_by_rule(bench, Rule(axes["rule"]), axes["shots"])

    def score(self, predictions: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Score:
        """Accuracy among all classes; a fitted cell scores among those of its target."""
        from lpcm.tasks.domain_fit import score_target

        return score_target(predictions, labels, tuple(range(classes)), classes)
