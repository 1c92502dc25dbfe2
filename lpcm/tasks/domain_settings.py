"""Settings of the domain task as a user types them: rules, domains, shots. Refuses names that nothing has.

Imports nothing heavy, so that a study can be planned from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

from lpcm.errors import UsageError, nearest

Names: TypeAlias = Sequence[str] | str
"""One name, several with commas between, or a list."""

Shots: TypeAlias = int | str
"""Labelled images a class and domain, or ``ALL_SHOTS``."""

ALL_SHOTS = "all"


class Rule(str, Enum):
    """How settings are selected.

    Source: Gulrajani and Lopez-Paz 2021 (DomainBed), section 3.
    """

    TRAINING_DOMAIN = "training-domain"  # on rows held out of every source domain
    LEAVE_ONE_DOMAIN_OUT = "leave-one-domain-out"  # on each source domain in turn, left out of the training
    ORACLE = "oracle"  # on the labelled target domain itself: an upper bound, not a result


NO_RULE = "none"
"""What stands in the place of a rule where nothing is selected."""


def read_rules(value: Names) -> tuple[Rule, ...]:
    """Rules in the order given, each once.

    Raises:
        UsageError: for a name that is no rule, or when there is none.

    Example:
        >>> [rule.name for rule in read_rules("training-domain,oracle")]
        ['TRAINING_DOMAIN', 'ORACLE']
    """
    known = [member.value for member in Rule]
    names = read_names(value, "domains.rule")
    for name in names or [""]:
        if name not in known:
            raise UsageError(
                f"rule is {name!r}: expected {' or '.join(map(repr, known))}", nearest(name, known)
            )
    return tuple(Rule(name) for name in names)


def read_names(value: Names, what: str) -> tuple[str, ...]:
    """Names in the order given, each once.

    Args:
        value: as typed; a name that holds a comma needs a list.
        what: the setting, for the error.

    Raises:
        UsageError: when it holds anything but texts.

    Example:
        >>> read_names("photo, art painting", "domains.target")
        ('photo', 'art painting')
    """
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise UsageError(f"{what} is {value!r}: expected names, separated by commas")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def read_shots(value: Sequence[Shots] | Shots) -> tuple[Shots, ...]:
    """Shots in the order given, each once.

    Raises:
        UsageError: for anything but whole numbers of 1 or more and ``"all"``.

    Example:
        >>> read_shots("1,16,all")
        (1, 16, 'all')
    """
    parts: Any = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        parts = [parts]
    shots = [_shot(part) for part in parts]
    if not shots or None in shots:
        raise UsageError(f"shots is {value!r}: expected whole numbers of 1 or more, or {ALL_SHOTS!r}")
    return tuple(dict.fromkeys(shot for shot in shots if shot is not None))


def choose_targets(
    pairs: Sequence[tuple[str, str]], datasets: Sequence[str], sources: Sequence[str], targets: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """The target domains of each dataset.

    Args:
        pairs: (dataset, domain) of every dataset that has domains and could be opened.
        datasets: names of the study's datasets.
        sources: domains that are trained on; empty when all others are.
        targets: domains that are tested on; empty takes all that are not named as sources, or all.

    Returns:
        names by dataset; none for a dataset without domains.

    Raises:
        UsageError: for a name that is no domain, or a dataset that has none of the names.
    """
    domains = {dataset: [domain for of, domain in pairs if of == dataset] for dataset in datasets}
    if all(domains.values()):  # a name may belong to a dataset that could not be opened
        _refuse_unknown("domains.sources", sources, domains)
        _refuse_unknown("domains.target", targets, domains)
    chosen = {}
    for dataset, own in domains.items():
        for setting, names in (("domains.sources", sources), ("domains.target", targets)):
            if own and names and not set(own) & set(names):
                raise UsageError(
                    f"--set {setting}: dataset {dataset!r} has none of {', '.join(map(repr, names))}",
                    f"its domains are: {', '.join(own)}",
                )
        asked = targets or [name for name in own if name not in sources] or own
        chosen[dataset] = tuple(name for name in own if name in asked)
    return chosen


def _refuse_unknown(setting: str, names: Sequence[str], domains: Mapping[str, Sequence[str]]) -> None:
    known = list(dict.fromkeys(domain for own in domains.values() for domain in own))
    for name in names:
        if name not in known:
            raise UsageError(
                f"--set {setting}: no dataset of the study has a domain {name!r}",
                nearest(name, known) or f"domains: {', '.join(known)}",
            )


def _shot(part: Any) -> Shots | None:
    if isinstance(part, str):
        if part.strip() == ALL_SHOTS:
            return ALL_SHOTS
        part = int(part) if part.strip().isdecimal() else None
    return part if isinstance(part, int) and not isinstance(part, bool) and part >= 1 else None
