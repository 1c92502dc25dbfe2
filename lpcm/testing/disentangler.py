"""What a disentangler promises. Refuses to judge whether its components mean anything.

Source: the contract ``lpcm.plugin.contracts.Disentangler``. A disentangler may declare ``equivariance``,
a tuple of ``"translation"``, ``"scale"``, ``"rotation"``: fitted on rows moved so, it finds the same
components up to sign and order. What is declared is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lpcm.keys import Key
from lpcm.testing.common import WITH_SETTINGS, expect_json, watched
from lpcm.testing.data import make_pairs
from lpcm.testing.subject import CheckFunction, Subject, expect, skip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_N, _D = 1031, 7
# Other rows of the same kind, so that transform is seen on rows that it was not fitted on.
_FRESH = 33

# Each value is a sum of d products in fp32, near 1: a row alone and in a batch differ in the last bits.
ROW_TOLERANCE = 1e-4

# Iterating to tol 1e-4 from rows in another order may end a little elsewhere: cosines stay above 0.99, while
# components that depend on the order of rows agree no better than a random rotation does (0.7 for d = 7).
SAME_COMPONENT = 0.99


def build(subject: Subject, random_state: int = 7) -> Any:
    """A new disentangler with the settings of its record."""
    return subject.load()(random_state=random_state)


def _rows() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    import numpy as np

    x = make_pairs(_D, _N + _FRESH, Key.of(0).fold("disentangler"), noise=0.0).x
    moved = (x + np.linspace(-1, 2, _D)).astype(np.float32)
    return moved[:_N], moved[_N:]


def fitted(subject: Subject) -> tuple[Any, NDArray[np.float32], NDArray[np.float32]]:
    """A fitted disentangler, the rows of its fit, and other rows."""
    rows, fresh = subject.once("rows", _rows)
    return subject.once("fitted", lambda: build(subject).fit(rows.copy())), rows, fresh


def fit_returns_itself(subject: Subject) -> None:
    """``fit`` returns the fitted object, as scikit-learn's do."""
    rows, _ = subject.once("rows", _rows)
    disentangler = build(subject)
    expect(disentangler.fit(rows.copy()) is disentangler, "fit(X) did not return the object itself")


def components_have_the_declared_shape(subject: Subject) -> None:
    """``transform`` gives (n, k) float32, k the same for any n."""
    disentangler, rows, fresh = fitted(subject)
    codes = disentangler.transform(rows)
    for given, n in ((codes, _N), (disentangler.transform(fresh[:1]), 1)):
        shape = getattr(given, "shape", None)
        expect(shape == (n, codes.shape[-1]), f"transform of {n} rows has shape {shape}: expected ({n}, k)")
        expect(given.dtype.name == "float32", f"transform gives {given.dtype.name}: expected float32")
    components = getattr(disentangler, "components_", None)
    if components is not None:
        wanted = (codes.shape[1], _D)
        expect(components.shape == wanted, f"components_ has shape {components.shape}: expected {wanted}")


def components_are_finite(subject: Subject) -> None:
    """No component of a row is NaN or infinite."""
    import numpy as np

    disentangler, rows, fresh = fitted(subject)
    for given in (rows, fresh):
        expect(np.isfinite(disentangler.transform(given)).all(), "transform gave NaN or infinite values")


def components_are_the_linear_map(subject: Subject) -> None:
    """Where ``components_`` is there, differences of rows go through it."""
    import numpy as np

    disentangler, _, fresh = fitted(subject)
    components = getattr(disentangler, "components_", None)
    if components is None:
        skip("it has no components_: it is not linear")
    codes = disentangler.transform(fresh).astype(float)
    wanted = (fresh[1:].astype(float) - fresh[:-1]) @ np.asarray(components, dtype=float).T
    off = float(np.abs(np.diff(codes, axis=0) - wanted).max() / max(float(np.abs(wanted).max()), 1e-12))
    # Two fp32 roundings of values up to ten times the difference.
    expect(off < 1e-4, f"transform differs from components_ by {off:.2g}")


def rows_do_not_depend_on_their_batch(subject: Subject) -> None:
    """A row has the same components alone and among others."""
    import numpy as np

    disentangler, _, fresh = fitted(subject)
    together = disentangler.transform(fresh)
    alone = np.concatenate([disentangler.transform(fresh[i : i + 1]) for i in range(5)])
    scale = max(float(np.abs(together).max()), 1e-12)
    off = float(np.abs(together[:5] - alone).max()) / scale
    expect(off <= ROW_TOLERANCE, f"a row alone is off by {off:.2g} from the same row among others")


def same_random_state_same_components(subject: Subject) -> None:
    """The same rows and the same ``random_state`` give the same bits."""
    import numpy as np

    disentangler, rows, fresh = fitted(subject)
    again = build(subject).fit(rows.copy())
    same = np.array_equal(disentangler.transform(fresh), again.transform(fresh))
    expect(same, "a second fit with the same random_state gives other components")


def order_of_rows_does_not_matter(subject: Subject) -> None:
    """Fitted on the same rows in another order, it finds the same components, up to sign and order."""
    disentangler, rows, fresh = fitted(subject)
    order = Key.of(1).fold("order").generator().permutation(len(rows))
    again = build(subject).fit(rows[order])
    agreement = _agreement(disentangler.transform(fresh), again.transform(fresh))
    expect(
        agreement > SAME_COMPONENT,
        f"rows in another order give other components: the worst agrees only to {agreement:.3f}",
    )


def rows_are_left_alone(subject: Subject) -> None:
    """Neither ``fit`` nor ``transform`` changes the rows that it is given."""
    import numpy as np

    rows, fresh = (given.copy() for given in subject.once("rows", _rows))
    kept = rows.copy(), fresh.copy()
    build(subject).fit(rows).transform(fresh)
    expect(np.array_equal(rows, kept[0]), "fit changed the rows it was given: work on a copy")
    expect(np.array_equal(fresh, kept[1]), "transform changed the rows it was given: work on a copy")


def transform_learns_nothing(subject: Subject) -> None:
    """Rows that are transformed do not change what comes next."""
    import numpy as np

    _, rows, fresh = fitted(subject)
    disentangler = build(subject).fit(rows.copy())
    before = disentangler.transform(fresh)
    disentangler.transform(100 * fresh[::-1] + 3)
    expect(
        np.array_equal(before, disentangler.transform(fresh)), "transform learns from the rows it is given"
    )


def report_goes_into_a_row(subject: Subject) -> None:
    """``report`` gives JSON values, without NaN."""
    disentangler, _, _ = fitted(subject)
    expect_json(disentangler.report(), "report()")


def declared_equivariance_holds(subject: Subject) -> None:
    """Rows moved as ``equivariance`` says give the same components, up to sign and order."""
    import numpy as np

    disentangler, rows, fresh = fitted(subject)
    declared = getattr(disentangler, "equivariance", ())
    if not declared:
        skip("it declares no equivariance")
    q = np.linalg.qr(Key.of(2).fold("turn").generator().standard_normal((_D, _D)))[0]
    moves: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
        "translation": lambda x: x + 5.0,
        "scale": lambda x: x * 3.0,
        "rotation": lambda x: x @ q.T,
    }
    for name in declared:
        expect(name in moves, f"equivariance {name!r}: expected {', '.join(moves)}")
        move = moves[name]
        again = build(subject).fit(move(rows).astype(np.float32))
        agreement = _agreement(disentangler.transform(fresh), again.transform(move(fresh).astype(np.float32)))
        expect(agreement > SAME_COMPONENT, f"declares {name} and agrees only to {agreement:.3f} after one")


def _agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The worst cosine of a component with its own in the other fit; 1 when all agree up to sign."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    expect(one.shape == other.shape, f"shapes {one.shape} and {other.shape} of two fits differ")
    # Differences between rows: a constant added to a component is not another component.
    a, b = (np.diff(codes.astype(float), axis=0) for codes in (one, other))
    scales = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    cosines = np.abs(a.T @ b) / np.maximum(scales, 1e-12)
    return float(cosines[linear_sum_assignment(-cosines)].min())


def _exercise(subject: Subject) -> None:
    rows, fresh = subject.once("rows", _rows)
    disentangler = build(subject).fit(rows.copy())
    disentangler.transform(fresh)
    disentangler.report()


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    fit_returns_itself,
    components_have_the_declared_shape,
    components_are_finite,
    components_are_the_linear_map,
    rows_do_not_depend_on_their_batch,
    same_random_state_same_components,
    order_of_rows_does_not_matter,
    rows_are_left_alone,
    transform_learns_nothing,
    report_goes_into_a_row,
    declared_equivariance_holds,
    *watched(_exercise),
)
