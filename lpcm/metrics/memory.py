"""What a comparison showed is computed once, for all metrics that read it. Refuses to keep the codes themselves.

DCI's three parts share their importances, MIG and modularity a table of mutual information. They are different
metrics and so different cells of a study; what they share is found by the digest of what is compared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from lpcm.metrics.comparison import Comparison

KEPT = 128
"""Answers kept of each function: those of a cell (value, nulls, floor, draws), twice over."""

P = ParamSpec("P")
T = TypeVar("T")


def remembered(function: Callable[Concatenate[Comparison, P], T]) -> Callable[Concatenate[Comparison, P], T]:
    """Keep the last answers of a pure function of a comparison; callers must not change them.

    Other arguments must be hashable.
    """
    answers: OrderedDict[Hashable, T] = OrderedDict()

    @wraps(function)
    def remembering(comparison: Comparison, /, *args: P.args, **kwargs: P.kwargs) -> T:
        asked = (comparison.digest, args, tuple(sorted(kwargs.items())))
        if asked in answers:
            answers.move_to_end(asked)
        else:
            answers[asked] = function(comparison, *args, **kwargs)
            if len(answers) > KEPT:
                answers.popitem(last=False)
        return answers[asked]

    return remembering
