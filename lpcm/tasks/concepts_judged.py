"""All that is known of the components of one cell, put together. Refuses to let labels decide their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.tasks.concepts_measures import GAUSSIAN, Measures, Oriented
from lpcm.tasks.concepts_purity import Purity
from lpcm.tasks.concepts_stability import Stability
from lpcm.tasks.concepts_texts import Naming


@dataclass(frozen=True, eq=False)
class Judged:
    """The k components of a cell.

    Args:
        view: their values on the training side.
        stability: which were found again.
        measures: how far from Gaussian and how sparse they are.
        mixtures: 95 % quantile of the non-Gaussianity of random mixtures of them.
        purities: how they go with classes and domains, where there is more than one.
        naming: their nearest texts; ``None`` where the encoder reads none or the map is not linear.
    """

    view: Oriented
    stability: Stability
    measures: Measures
    mixtures: float
    purities: tuple[Purity, ...]
    naming: Naming | None

    @property
    def beyond_mixtures(self) -> NDArray[np.bool_]:
        """(k,) whether each is further from Gaussian than random mixtures are."""
        found: NDArray[np.bool_] = self.measures.nongaussianity > self.mixtures
        return found

    def order(self) -> NDArray[np.int64]:
        """Places of the components: those that were identified first, each part by falling non-Gaussianity."""
        distance = np.nan_to_num(self.measures.nongaussianity, nan=-1.0)
        return np.lexsort((-distance, ~self.stability.identified)).astype(np.int64)

    def headline(self) -> str:
        """The count in words."""
        identified = self.stability.identified
        return f"identified {int(identified.sum())} of {len(identified)} components"

    def of(self, place: int) -> dict[str, Any]:
        """A line of the table."""
        line: dict[str, Any] = {
            "component": place,
            **self.stability.of(place),
            **self.measures.of(place),
            "beyond_mixtures": bool(self.beyond_mixtures[place]),
            "turned": bool(self.view.sign[place] < 0),
        }
        for purity in self.purities:
            line |= purity.of(place)
        return line | (self.naming.of(place) if self.naming else {})

    def facts(self) -> dict[str, Any]:
        """What the row says."""
        said: dict[str, Any] = {
            "headline": self.headline(),
            "rows": len(self.view.values),
            "stability": self.stability.facts(),
            "medians": self.measures.medians(),
            "nongaussianity_of_mixtures": self.mixtures,
            "beyond_mixtures": int(self.beyond_mixtures.sum()),
            "constant": int((self.view.scale == 0).sum()),
        }
        for purity in self.purities:
            said[purity.what] = purity.facts()
        return said | ({"texts": self.naming.facts()} if self.naming else {})

    def sentences(self) -> list[str]:
        """What a reader should know before looking at pictures."""
        stability, k = self.stability.certificate, len(self.stability.identified)
        said = [
            f"{self.headline()} ({stability.effort.value} certificate): refits from"
            f" other seeds and on halves of the rows agree to at least {stability.bar:.3f}. Pictures of a component"
            " that was not identified show an accident of this sample, however well they seem to go together.",
            f"{int(self.beyond_mixtures.sum())} of {k} are further from Gaussian than 95 % of random mixtures of them."
            " Components that are Gaussian cannot be told from their rotations.",
            "Values are standard deviations from the mean. The sign makes the longer tail the upper end.",
        ]
        if self.naming:
            ends = int(self.naming.upper_out.sum() + self.naming.lower_out.sum())
            said.append(
                f"{ends} of {2 * k} ends have a text that stands out (*) from what random mixtures of the components"
                " are named; the others have a nearest text only because something always is."
            )
        said += self.stability.warnings()
        return [sentence[0].upper() + sentence[1:].rstrip(".") + "." for sentence in said]

    def numbers(self, place: int, ends: int) -> str:
        """The numbers of a component's sheet, a few lines.

        Args:
            place: the component.
            ends: images at its upper end, which the purity is of.
        """
        known: Mapping[str, Any] = self.of(place)
        bar = self.stability.certificate.bar
        lines = [
            "the map is fixed: nothing was estimated"
            if known["agreement"] is None
            else f"refits agree to {known['agreement']:.2f}, at least {bar:.2f} is asked",
            f"kurtosis {_told(known['kurtosis'], '+.1f')} (Gaussian 0), Hoyer {_told(known['hoyer'], '.2f')}"
            f" ({GAUSSIAN['hoyer']:.2f}), Gini {_told(known['gini'], '.2f')} ({GAUSSIAN['gini']:.2f})",
        ]
        for purity in self.purities:
            lines.append(
                f"{100 * known[f'{purity.what}_purity']:.0f} % of the highest {ends} are"
                f" {known[f'{purity.what}_commonest']} (mixtures {100 * purity.mixtures_purity:.0f},"
                f" chance {100 * purity.purity_chance:.0f} %)"
            )
        return "\n".join(lines)


def _told(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
