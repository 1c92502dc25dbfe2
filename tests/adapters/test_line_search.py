"""A line of settings is judged at once, and as point by point."""

import numpy as np
import pytest

from lpcm.adapters.line_search import best_point, count_right
from lpcm.adapters.validation import standing
from lpcm.keys import Key

Q, CLASSES = 33, 7
OUTERS, INNERS = (0.1, 0.5, 1.5), tuple(np.geomspace(0.01, 30, 17))


@pytest.fixture
def drawn():
    generator = Key.of(0).fold("lines").generator()
    base, slope, turn = (generator.standard_normal((Q, CLASSES)) for _ in range(3))
    return base, slope, turn, generator.integers(0, CLASSES, Q)


def test_rows_are_counted_as_point_by_point(drawn):
    base, slope, _, labels = drawn
    literal = [int(((base + t * slope).argmax(1) == labels).sum()) for t in INNERS]
    np.testing.assert_array_equal(count_right(base, slope, np.array(INNERS), labels), literal)
    assert len(set(literal)) > 2


def test_the_best_point_is_the_best_of_all_points_with_its_ties(drawn):
    base, slope, turn, labels = drawn
    found = best_point(lambda outer: (base + outer * turn, slope), OUTERS, INNERS, labels)
    literal = {(o, i): standing(base + o * turn + i * slope, labels) for o in OUTERS for i in INNERS}
    assert found.standing == min(literal.values())
    assert (found.outer, found.inner) == min(literal, key=literal.__getitem__)


def test_a_slope_of_zero_leaves_the_choice_to_the_first():
    base = np.eye(3)
    found = best_point(lambda outer: (base, np.zeros((3, 3))), OUTERS, INNERS, np.arange(3))
    assert (found.outer, found.inner) == (OUTERS[0], INNERS[0])
    assert found.standing.accuracy == 1
