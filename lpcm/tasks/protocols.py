"""Protocols of the few-shot task, as data. Refuses to hold code: a protocol is what a study could have typed.

Imports nothing heavy, so that a study can be planned from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class FitOn(str, Enum):
    """Which rows the disentangler is fitted on; any other value is the path of a features file."""

    TRAIN = "train"  # all unlabelled training rows but those set aside for validation
    SHOTS = "shots"  # the labelled shots
    SHOTS_AND_VAL = "shots+val"  # the labelled shots and the validation rows that choose C: a leak


class Rules(str, Enum):
    """Whose rules settings are chosen by."""

    CLEAN = "clean"  # the adapters' own, on few-shot validation rows
    PUBLISHED = (
        "published"  # what each adapter's authors did, also on test labels; such rows are marked oracle
    )


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to run the few-shot task.

    Args:
        name: what a user types after ``--protocol``.
        summary: one line.
        source: where it comes from.
        fit_on: default rows of the unmixing.
        settings: for each disentangler and adapter, settings that hold unless the study sets them.
        leaks: what of it a clean protocol would not do; printed with the results.
        rules: whose rules settings are chosen by.
    """

    name: str
    summary: str
    source: str
    fit_on: FitOn
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    rules: Rules = Rules.CLEAN


CLEAN = Protocol(
    name="clean",
    summary="unmixing on unlabelled training rows, C on validation rows taken from train",
    source="CoOp's split protocol (Zhou et al. 2022), with validation apart from all that is fitted",
    fit_on=FitOn.TRAIN,
)

BEYOND_DAGS = Protocol(
    name="beyond-dags",
    summary="the paper's own: unmixing on the few-shot train and validation rows, its widths and search of C",
    source="arXiv 2402.06223, released linear probes",
    fit_on=FitOn.SHOTS_AND_VAL,
    settings={
        # The widths are the paper's; few-shot rows of a small dataset hold fewer, hence the cap.
        "pca": {"k": 300, "excess": "cap"},
        "whiten": {"k": 300, "excess": "cap"},
        "rotation": {"k": 300, "excess": "cap"},
        "ica": {"k": 300, "max_iter": 200, "tol": 1e-4, "excess": "cap"},
        "pca-ica": {"p": 500, "k": 160, "max_iter": 200, "tol": 1e-4, "excess": "cap"},
        "linear-probe": {"search": "two-stage", "scale": "none", "solver": "sklearn", "max_iter": 1000},
    },
    leaks=(
        "the unmixing is fitted on the validation rows that choose C",
        "the paper's component counts (300; 500 and 160) were chosen by test accuracy on ImageNet",
    ),
)

PUBLISHED = Protocol(
    name="published",
    summary="each adapter's settings chosen as its authors did; rows that used test labels are marked oracle",
    source="the released code of each adapter, as its attribute `published` says",
    fit_on=FitOn.TRAIN,
    rules=Rules.PUBLISHED,
)

PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (CLEAN, BEYOND_DAGS, PUBLISHED)}
