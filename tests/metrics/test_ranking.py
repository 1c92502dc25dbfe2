"""Streamed ranks equal those of a full sorted matrix, whatever the blocks, and ties are worth what chance gives."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.metrics import ranking
from lpcm.metrics.ranking import Standings, figures, standings


def drawn(q, m, d, key=0, copies=1):
    generator = Key.of(key).fold("rows", q, m, d).generator()
    queries = generator.standard_normal((q, d)).astype(np.float32)
    gallery = generator.standard_normal((-(-m // copies), d)).astype(np.float32)
    gallery = np.repeat(gallery, copies, axis=0)[:m][generator.permutation(m)]
    return queries, gallery, generator


def every_query_matched(q, m, generator):
    """A match for each query, and a match for each gallery item, each pair once."""
    pairs = {(i, int(generator.integers(m))) for i in range(q)}
    pairs |= {(int(generator.integers(q)), j) for j in range(m)}
    of, item = np.array(sorted(pairs)).T
    return of, item


def literal(queries, gallery, matches):
    """The same by a full float64 matrix, one query at a time."""
    scores = np.array([[float((x.astype(float) * y).sum()) for y in gallery] for x in queries])
    rows = []
    for i, row in enumerate(scores):
        own = matches[1][matches[0] == i]
        best = row[own].max()
        level = np.flatnonzero(row == best)
        shared = np.isin(level, own).sum()
        rows.append([(row > best).sum(), len(level) - shared, shared, len(own)])
    return np.array(rows)


def stacked(found):
    return np.stack([found.above, found.tied, found.shared, found.matches], axis=1)


@pytest.mark.parametrize(("q", "m", "d"), [(1, 3, 1), (3, 1, 7), (7, 15, 17), (17, 31, 3), (33, 257, 31)])
@pytest.mark.parametrize("block", [1, 7, 31, 4096])
@pytest.mark.parametrize("copies", [1, 3])
def test_standings_are_those_of_the_full_matrix(q, m, d, block, copies):
    queries, gallery, generator = drawn(q, m, d, copies=copies)
    matches = every_query_matched(q, m, generator)
    found = standings(queries, gallery, matches, block=block)
    assert stacked(found).tolist() == literal(queries, gallery, matches).tolist()
    assert found.gallery == m


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([1, 2, 5, 16]))
def test_whole_numbers_full_of_ties_stand_as_in_the_full_matrix(seed, block, d):
    generator = Key.of(seed).fold("ties").generator()
    q, m = (int(v) for v in generator.integers(1, 24, 2))
    queries, gallery = (generator.integers(-1, 2, (n, d)).astype(np.float32) for n in (q, m))
    matches = every_query_matched(q, m, generator)
    found = standings(queries, gallery, matches, block=block)
    assert stacked(found).tolist() == literal(queries, gallery, matches).tolist()


@pytest.mark.parametrize("spread", [1e-6, 1e-7, 1e-8])
@pytest.mark.parametrize("share", [0.0, 1 / 64, 1.0])  # a product in float64: always, as it is, never
def test_scores_that_float32_cannot_tell_apart_are_told_apart_exactly(spread, share, monkeypatch):
    monkeypatch.setattr(ranking, "_EXACT_SHARE", share)
    # Rows around one vector: differences of scores are far below the error of a float32 product.
    generator = Key.of(1).fold("near").generator()
    centre = generator.standard_normal(31)
    near = (centre + spread * generator.standard_normal((65, 31))).astype(np.float32)
    matches = (np.arange(65), generator.permutation(65))
    found = [standings(near, near, matches, block=block) for block in (3, 17, 512)]
    expected = literal(near, near, matches)
    for each in found:
        assert stacked(each).tolist() == expected.tolist()


def test_threads_change_nothing():
    queries, gallery, generator = drawn(257, 515, 129)
    matches = every_query_matched(257, 515, generator)
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            found.append(stacked(standings(queries, gallery, matches, block=100)).tolist())
    assert found[0] == found[1] == found[2]


def test_never_more_than_a_block_of_scores_is_held(monkeypatch):
    held = []
    original = ranking._placed

    def watched(x, y, bar, size):
        held.append((len(x), len(y)))
        return original(x, y, bar, size)

    monkeypatch.setattr(ranking, "_placed", watched)
    queries, gallery, _ = drawn(101, 257, 7)
    standings(queries, gallery, (np.arange(101), np.arange(101)), block=31)
    assert max(max(shape) for shape in held) == 31
    assert sum(n * m for n, m in held) >= 101 * 257


def by_orders(above, tied, shared, ks):
    """Expectations over all orders of the items at the same score, spelt out."""
    orders = list(set(itertools.permutations([True] * shared + [False] * tied)))
    ranks = [above + 1 + order.index(True) for order in orders]
    return (
        [np.mean([rank <= k for rank in ranks]) for k in ks],
        np.mean([1 / rank for rank in ranks]),
        np.mean(ranks),
    )


@pytest.mark.parametrize("above", [0, 1, 4])
@pytest.mark.parametrize("tied", [0, 1, 3])
@pytest.mark.parametrize("shared", [1, 2, 3])
def test_figures_are_expectations_over_the_orders_of_equal_scores(above, tied, shared):
    one = np.array([1])
    found = figures(Standings(above * one, tied * one, shared * one, shared * one, 11), [1, 2, 5, 11])
    recall, reciprocal, rank = by_orders(above, tied, shared, [1, 2, 5, 11])
    # Sums of at most seven chances in float64.
    assert [found.recall[k][0] for k in (1, 2, 5, 11)] == pytest.approx(recall, abs=1e-13)
    assert found.reciprocal[0] == pytest.approx(reciprocal, abs=1e-13)
    assert found.rank[0] == pytest.approx(rank, abs=1e-13)


@pytest.mark.parametrize(("m", "p"), [(7, 1), (31, 1), (31, 5), (257, 3)])
def test_features_that_say_nothing_get_exactly_what_chance_gives(m, p):
    same = np.ones((m, 3), np.float32)
    own = np.arange(p)
    found = standings(same[:1], same, (np.zeros(p, int), own))
    assert stacked(found).tolist() == stacked(found.by_chance()).tolist()
    ks = [1, 5, 10]
    got = figures(found, ks)
    for k in ks:
        missed = math.comb(m - p, k) / math.comb(m, k) if m >= k else 0.0
        assert got.recall[k][0] == pytest.approx(1 - missed, abs=1e-12)  # float64 sums of k chances
    assert got.rank[0] == pytest.approx((m + 1) / (p + 1), abs=1e-12)
    assert figures(found, [m]).recall[m][0] == 1


def test_random_features_score_what_chance_gives():
    queries, gallery, _ = drawn(2000, 331, 32)
    own = Key.of(2).fold("own").generator().integers(0, 331, 2000)
    found = standings(queries, gallery, (np.arange(2000), own))
    got, chance = figures(found, [1, 10]), figures(found.by_chance(), [1, 10])
    for k in (1, 10):
        assert chance.recall[k] == pytest.approx(k / 331, abs=1e-12)
        # Four standard deviations of a share of 2000 queries.
        assert abs(got.recall[k].mean() - k / 331) < 4 * np.sqrt(k / 331 / 2000)


def test_a_planted_match_is_first():
    queries, _, _ = drawn(97, 97, 16)
    order = Key.of(3).generator().permutation(97)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    found = figures(standings(queries, queries[order], (order, np.arange(97))), [1])
    assert found.recall[1].tolist() == [1.0] * 97
    assert found.rank.tolist() == [1.0] * 97


def test_the_order_of_gallery_and_of_pairs_says_nothing():
    queries, gallery, generator = drawn(31, 63, 5, copies=2)
    of, item = every_query_matched(31, 63, generator)
    order, places = generator.permutation(len(of)), generator.permutation(63)
    turned = np.argsort(places)[item[order]]
    first = standings(queries, gallery, (of, item))
    assert (
        stacked(standings(queries, gallery[places], (of[order], turned))).tolist() == stacked(first).tolist()
    )


def test_what_cannot_be_ranked_is_refused_with_the_reason():
    eye = np.eye(3, dtype=np.float32)
    one = (np.arange(3), np.arange(3))
    with pytest.raises(DataError, match=r"1 of 3 queries have no match, first row \[2\]"):
        standings(eye, eye, (np.array([0, 1]), np.array([0, 1])))
    with pytest.raises(DataError, match="matches name query 3 of 3"):
        standings(eye, eye, (np.arange(4), np.array([0, 1, 2, 0])))
    with pytest.raises(DataError, match="width 3 and gallery items 2"):
        standings(eye, eye[:, :2], one)
    with pytest.raises(DataError, match="gallery hold NaN or infinity in 1 of 3 rows"):
        standings(eye, np.where([[False], [True], [False]], np.nan, eye), one)
    with pytest.raises(DataError, match="matches name gallery item 7 of 3"):
        standings(eye, eye, (np.arange(3), np.array([0, 7, 2])))
    with pytest.raises(DataError, match="queries have shape"):
        standings(eye[:0], eye, one)
    with pytest.raises(UsageError, match="block is 0"):
        standings(eye, eye, one, block=0)
    found = standings(eye, eye, one)
    for ks in ([], [0], [1, -1]):
        with pytest.raises(UsageError, match="expected whole numbers of 1 or more"):
            figures(found, ks)
