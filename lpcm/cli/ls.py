"""``lpcm-eval ls KIND``: what the installed plugins offer. Imports no loader."""

from __future__ import annotations

import argparse
from typing import Any

from lpcm.cli.common import host_of, print_columns, print_json
from lpcm.errors import EXIT_DONE
from lpcm.plugin.host import Offer
from lpcm.plugin.records import (
    AdapterRecord,
    DatasetRecord,
    DisentanglerRecord,
    EncoderRecord,
    GeometryRecord,
    Kind,
    MetricRecord,
)

STUDIES = "studies"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The kind to list."""
    choices = [*(k.plural for k in Kind), STUDIES]
    command.add_argument("kind", metavar="KIND", choices=choices, help=", ".join(choices))
    command.add_argument("--settings", action="store_true", help="also list what --set can change")


def run(arguments: argparse.Namespace) -> int:
    """Print the offers of one kind."""
    if arguments.kind == STUDIES:
        return _studies(arguments.json)
    kind = next(k for k in Kind if k.plural == arguments.kind)
    offers = host_of(arguments).offers(kind)
    if arguments.json:
        print_json([_json(offer) for offer in offers])
        return EXIT_DONE
    rows = []
    for offer in offers:
        takes = offer.record.takes
        name = offer.shortest_name + (
            takes and (f"[:{takes[1:-1]}]" if takes.startswith("[") else f":{takes}")
        )
        rows.append((name, _fact(offer), offer.dist, offer.record.summary))
        if arguments.settings:
            for param in offer.record.params:
                default = "from the data" if param.default is None else param.default
                rows.append(("", "", "", f"  --set {offer.record.name}.{param.name}={default}: {param.help}"))
    print_columns(rows, (kind.value.upper(), "FACTS", "FROM", "SUMMARY"))
    return EXIT_DONE


def _studies(as_json: bool) -> int:
    """Study files that come with lpcm; the first line of each says what it asks."""
    from lpcm.study.suite import packaged

    found = []
    for name, path in packaged().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        found.append({"name": name, "summary": first.removeprefix("#").strip(), "path": str(path)})
    if as_json:
        print_json(found)
    else:
        print_columns([(f["name"], f["summary"]) for f in found], ("STUDY", "SUMMARY"))
    return EXIT_DONE


def _fact(offer: Offer) -> str:
    record = offer.record
    if isinstance(record, EncoderRecord):
        reads = "+".join(m.value for m in record.modalities)
        return f"{reads} {record.dim}-d" if record.dim else reads
    if isinstance(record, DatasetRecord):
        parts = [
            f"{record.classes} classes" if record.classes else "",
            f"{record.images} images" if record.images else "",
        ]
        return ", ".join(p for p in parts if p)
    if isinstance(record, DisentanglerRecord):
        return record.role.value
    if isinstance(record, AdapterRecord):
        return "needs " + "+".join(m.value for m in record.needs)
    if isinstance(record, GeometryRecord):
        return f"identifies {record.identifies}"
    if isinstance(record, MetricRecord):
        low, high = record.range
        return f"[{low:g}, {high:g}] {'higher' if record.higher_is_better else 'lower'} is better"
    return ""


def _json(offer: Offer) -> dict[str, Any]:
    from dataclasses import fields

    from lpcm.study.rows import jsonable

    record = {f.name: getattr(offer.record, f.name) for f in fields(offer.record) if f.name != "params"}
    params = [
        {"name": p.name, "help": p.help, "default": p.default, "type": p.type.__name__, "choices": p.choices}
        for p in offer.record.params
    ]
    described: dict[str, Any] = jsonable(
        {**record, "params": params, "plugin": offer.plugin, "dist": offer.dist, "full_name": offer.full_name}
    )
    return described
