"""From judged components to files: tables, a page, and the sheets where there are images. Refuses to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.plugin.contracts import Bench, Block
from lpcm.tasks.concepts_canvas import as_jpeg
from lpcm.tasks.concepts_images import choose_images
from lpcm.tasks.concepts_judged import Judged
from lpcm.tasks.concepts_measures import GAUSSIAN
from lpcm.tasks.concepts_page import OVERVIEW, as_csv, as_json, as_page, sheet_name, text_line
from lpcm.tasks.concepts_sheet import SMALL, SMALL_COLUMNS, Picture, Sheet, draw_overview, draw_sheet

_OVERVIEW_MOST = 64  # lines of an overview; JPEG ends at 65,535 pixels, patience before that


@dataclass(frozen=True)
class Layout:
    """What is drawn.

    Args:
        components: how many have a sheet.
        images: at each end.
        side: of a thumbnail, pixels.
        pictures: whether anything is drawn.
    """

    components: int
    images: int
    side: int
    pictures: bool


@dataclass(frozen=True, eq=False)
class Exhibits:
    """Files by their names, and what is missing among them."""

    files: Mapping[str, bytes]
    missing: tuple[str, ...]


def make_exhibits(
    bench: Bench, train: Block, judged: Judged, layout: Layout, title: str, about: Mapping[str, Any]
) -> Exhibits:
    """Make all files of a cell.

    Args:
        bench: gives the pictures.
        train: the training side; rows as in ``judged``.
        judged: its components.
        layout: what is drawn.
        title: of page and overview.
        about: of the cell, for the JSON.
    """
    drawing = _Drawing(bench, train, judged)
    order = [int(place) for place in judged.order()]
    table = [{**judged.of(place), **drawing.named(place, layout.images)} for place in order]
    files: dict[str, bytes] = {}
    missing: list[str] = []
    sheets: list[int] = []
    if layout.pictures:
        vary = [place for place in order if judged.view.scale[place] > 0]
        try:
            files = _pictures(drawing, vary, layout, title)
            sheets = vary[: layout.components]
        except DataError as error:
            missing.append(f"no pictures: {error.message}; the numbers are there")
    files["concepts.json"] = as_json({"title": title, **about, **judged.facts(), "gaussian": GAUSSIAN}, table)
    files["concepts.csv"] = as_csv(table)
    files["index.html"] = as_page(title, [*judged.sentences(), *missing], table, sheets, bool(sheets))
    return Exhibits(files, tuple(missing))


def _pictures(drawing: _Drawing, vary: Sequence[int], layout: Layout, title: str) -> dict[str, bytes]:
    files = {}
    for place in vary[: layout.components]:
        sheet = drawing.sheet(place, layout.images, layout.side, steps=True)
        files[sheet_name(place)] = as_jpeg(draw_sheet(sheet, layout.side, layout.images))
    lines = [drawing.sheet(place, SMALL_COLUMNS, SMALL, steps=False) for place in vary[:_OVERVIEW_MOST]]
    k = len(drawing.judged.stability.identified)
    note = f"{drawing.judged.headline()}; first those identified, each part by falling non-Gaussianity"
    if len(lines) < k:
        note += f"; {len(lines)} of {k} are here, all in concepts.csv"
    if lines:
        files[OVERVIEW] = as_jpeg(draw_overview(title, note, lines))
    return files


class _Drawing:
    """What the sheets of a cell are made of."""

    def __init__(self, bench: Bench, train: Block, judged: Judged) -> None:
        self.judged = judged
        self._bench = bench
        self._train = train
        self._far: NDArray[np.float64] = np.square(judged.view.values, dtype=np.float64).sum(1)

    def named(self, place: int, images: int) -> dict[str, Any]:
        """Which samples show a component, by their ids, with its values."""
        shown = choose_images(self.judged.view.values, place, images, self._far)

        def told(rows: NDArray[np.int64]) -> list[dict[str, Any]]:
            values = self.judged.view.values[rows, place].tolist()
            return [
                {"id": self._train.ids[row], "value": round(value, 4)}
                for row, value in zip(rows.tolist(), values, strict=True)
            ]

        strip = [{"quantile": q, **step} for q, step in zip(shown.quantiles, told(shown.steps), strict=True)]
        return {"upper_images": told(shown.highest), "lower_images": told(shown.lowest), "strip": strip}

    def sheet(self, place: int, images: int, side: int, *, steps: bool) -> Sheet:
        values = self.judged.view.values
        shown = choose_images(values, place, images, self._far)
        asked = (shown.highest, shown.lowest, shown.steps if steps else shown.steps[:0])
        rows = [int(row) for part in asked for row in part]
        thumbnails = dict(
            zip(rows, self._bench.pictures([self._train.ids[row] for row in rows], side), strict=True)
        )

        def pictures(part: NDArray[np.int64]) -> tuple[Picture, ...]:
            return tuple(
                Picture(thumbnails[row], float(values[row, place]), self._label(row)) for row in part.tolist()
            )

        known = self.judged.of(place)
        return Sheet(
            place,
            bool(known["identified"]),
            self.judged.numbers(place, len(shown.highest)),
            values[:, place],
            pictures(asked[0]),
            pictures(asked[1]),
            pictures(asked[2]),
            shown.quantiles,
            text_line(known, "upper"),
            text_line(known, "lower"),
        )

    def _label(self, row: int) -> str:
        label, domain = self._bench.classes[int(self._train.labels[row])], self._train.domains[row]
        return f"{label}, {domain}" if domain else label
