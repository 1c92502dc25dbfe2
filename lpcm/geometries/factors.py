"""The parts of a product, as ``sphere:3+sphere:2`` names them. Refuses widths that do not add up.

Built-in names are looked up here; others among the installed plugins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lpcm.errors import UsageError
from lpcm.plugin.contracts import Geometry
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind

_EXAMPLE = "type for example factors=sphere:3+sphere:2"


@dataclass(frozen=True)
class Part:
    """A part of a product.

    Args:
        name: of its geometry.
        dim: its width.
    """

    name: str
    dim: int


def parts_of(text: str, dim: int) -> tuple[Part, ...]:
    """Read names joined by ``+``, each with its width after the last colon or without one.

    Args:
        text: for example ``sphere:3+box``; a name may begin with its distribution, ``dist:name:3``.
        dim: sum of the widths. Parts without one share the rest, the first ones getting one more where it is odd.

    Raises:
        UsageError: when a name is empty, or the widths do not add up.

    Example:
        >>> parts_of("sphere:3+box+box", 8)
        (Part(name='sphere', dim=3), Part(name='box', dim=3), Part(name='box', dim=2))
    """
    named = [_part(text, one) for one in text.split("+")]
    open_ = [i for i, (_, width) in enumerate(named) if width is None]
    rest = dim - sum(width or 0 for _, width in named)
    if rest < len(open_) or (rest and not open_):
        raise UsageError(f"factors {text!r} do not add up to a latent of {dim}", _EXAMPLE)
    each, more = divmod(rest, len(open_)) if open_ else (0, 0)
    shares = {i: each + (rank < more) for rank, i in enumerate(open_)}
    return tuple(Part(name, shares[i] if width is None else width) for i, (name, width) in enumerate(named))


def per_part(setting: str, text: str | None, parts: Sequence[Part]) -> list[str | None]:
    """One text for each part, from one for all or as many as there are, joined by ``+``.

    Raises:
        UsageError: when there is another number of texts.
    """
    texts: list[str | None] = [None] if text is None else [one.strip() for one in text.split("+")]
    if len(texts) == 1:
        return texts * len(parts)
    if len(texts) != len(parts):
        raise UsageError(
            f"{setting} {text!r} has {len(texts)} laws for {len(parts)} parts",
            f"give one for all, or one for each of {', '.join(part.name for part in parts)}, joined by +",
        )
    return texts


def built(part: Part, settings: Mapping[str, Any]) -> Geometry:
    """Make a part.

    Raises:
        UsageError: when there is no such geometry, or it does not take the settings.
        MissingError: when what it needs is not installed.
    """
    from lpcm.geometries.records import RECORDS

    loaders = {record.name: record.loader for record in RECORDS}
    if part.name in loaders:
        module, _, attribute = loaders[part.name].partition(":")
        made: Geometry = getattr(import_module(module), attribute)(part.dim, **settings)
        return made
    host = PluginHost.discover()
    found = host.find(Kind.GEOMETRY, part.name)
    known = {param.name for param in found.record.params}
    if strange := sorted(set(settings) - known):
        raise UsageError(
            f"part {part.name!r} of the product takes no {' and no '.join(strange)}",
            f"it takes {', '.join(sorted(known)) or 'no settings'}",
        )
    other: Geometry = host.load(found)(part.dim, **settings)
    return other


def _part(text: str, one: str) -> tuple[str, int | None]:
    head, _, width = one.strip().rpartition(":")
    if width.isdecimal() and head:
        if int(width) < 1:
            raise UsageError(f"factor {one!r} has no width: expected 1 or more", _EXAMPLE)
        return head, int(width)
    if not one.strip():
        raise UsageError(f"factors {text!r} hold an empty name", _EXAMPLE)
    return one.strip(), None
