"""Raw values of a study from several places: a file, one of its parts, flags. Refuses to lose a setting on the way.

Later layers replace fields of earlier ones, but settings are joined one by one: ``--set fewshot.iterations=50`` changes
one number of a file that sets ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lpcm.errors import UsageError
from lpcm.study.schema import settings

SETTINGS = "set"
_parse = settings("ica.k=128")


def joined(source: str, *layers: Mapping[str, Any]) -> dict[str, Any]:
    """The raw values of all layers together.

    Args:
        source: where they come from, for errors.
        *layers: raw values, field names with dashes or underscores; the last one counts most.

    Raises:
        UsageError: for settings that are none.

    Example:
        >>> joined("file", {"set": {"ica": {"k": 8, "seed": 1}}}, {"set": ["ica.k=16"]})
        {'set': {'ica.k': 16, 'ica.seed': 1}}
    """
    values: dict[str, Any] = {}
    for layer in layers:
        for raw, value in layer.items():
            name = raw.replace("-", "_")
            if name == SETTINGS:
                try:
                    value = {**values.get(SETTINGS, {}), **dict(_parse(value))}
                except ValueError as error:
                    raise UsageError(f"{source}: {raw} is {value!r}: {error}") from None
            values[name] = value
    return values
