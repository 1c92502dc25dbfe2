"""The rows that a published selection rule looks at. Refuses to ask for test labels unless the rule looks at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lpcm.adapters.published import LooksAt, Published
from lpcm.plugin.contracts import Block

UNSTATED = "none is stated: settings are chosen as in the clean protocol"


@dataclass(frozen=True, eq=False)
class SelectionRows:
    """Rows to choose on.

    Args:
        val: for settings.
        judges: for the epoch, where those are others; ``None`` where they are not.
        facts: what the row says of them.
        leaks: what a clean protocol would not do, in sentences without a full stop.
    """

    val: Block
    judges: Block | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()


def selection_rows(
    rule: Published | None,
    *,
    adapter: str,
    few: Block,
    split: Block | None,
    test: Callable[[], Block],
) -> SelectionRows:
    """Find the rows that a rule chooses on.

    Args:
        rule: the adapter's; ``None`` where it states none.
        adapter: its name, for what the row says.
        few: the few-shot validation rows of the clean protocol.
        split: the dataset's whole validation split; ``None`` where it has none.
        test: asks for the test rows with their labels; called only where the rule looks at them.
    """
    if rule is None:
        return SelectionRows(few, facts={"published_rule": UNSTATED})
    looks = rule.tests(has_split=split is not None)
    test_rows = test() if looks else None
    settings_on = _there(rule.settings_on, split)
    chosen = {LooksAt.TEST: test_rows, LooksAt.SPLIT: split}.get(settings_on)
    val = few if chosen is None else chosen
    facts: dict[str, Any] = {
        "published_rule": rule.rule,
        "published_rule_source": rule.source,
        "settings_chosen_on": settings_on.value,
        "selection_rows": len(val),
    }
    leaks = []
    if settings_on is LooksAt.TEST:
        instead = "" if rule.settings_on is LooksAt.TEST else " (there is no validation split)"
        leaks.append(f"{adapter} chose its settings by test labels{instead}")
    judges = None
    if rule.epoch_on is not None:
        epoch_on = _there(rule.epoch_on, split)
        judges = test_rows if epoch_on is LooksAt.TEST else split
        facts["epoch_chosen_on"] = epoch_on.value
        if epoch_on is LooksAt.TEST:
            leaks.append(f"{adapter} chose its epoch, and between two answers, by test accuracy")
    return SelectionRows(val, judges, facts, tuple(leaks))


def _there(on: LooksAt, split: Block | None) -> LooksAt:
    """Where there is no validation split, published code takes the test rows for one."""
    return LooksAt.TEST if on is LooksAt.SPLIT and split is None else on
