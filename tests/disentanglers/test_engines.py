"""Every engine of FastICA finds scikit-learn's unmixing, whether rows are in memory or read in chunks."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import FastICA

from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.pca_ica import PCAThenICA
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.disentanglers.streamed import ChunkedRows, StreamedSpectrum
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.keys import Key

TORCH = [{"engine": "torch", "precision": precision} for precision in ("float32", "float64")]


def cosines(first, second):
    """Matched |cosine| of the rows of two component matrices."""
    first, second = (c / np.linalg.norm(c, axis=1, keepdims=True) for c in (first, second))
    cosine = np.abs(first @ second.T)
    return cosine[linear_sum_assignment(-cosine)]


@pytest.fixture(scope="module")
def rows():
    generator = Key.of(0).fold("engines").generator()
    sources = generator.laplace(size=(9_001, 15))
    return (sources @ generator.standard_normal((15, 33)) + 2.0).astype(np.float32)


@pytest.fixture(scope="module")
def theirs(rows):
    made = FastICA(15, whiten="unit-variance", whiten_solver="svd", tol=1e-10, max_iter=500, random_state=0)
    return made.fit(rows.astype(np.float64)).components_


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        # Directions turn by less than sqrt(2 tol) = 1.4e-5 at the end; 1 - cos is half its square.
        ({"engine": "sklearn"}, 1e-8),
        (TORCH[1], 1e-8),
        # float32 rows whitened in float32: relative rounding of 6e-8 times the spread of the spectrum (about
        # 10) times a few sums of 33 and 15 terms gives angles of about 1e-5; 1e-6 allows 1.4e-3.
        (TORCH[0], 1e-6),
    ],
    ids=["sklearn", "torch-float64", "torch-float32"],
)
def test_the_unmixing_is_scikit_learns_up_to_order_and_signs(settings, tolerance, rows, theirs):
    made = ICA(k=15, tol=1e-10, max_iter=500, **settings).fit(rows)
    assert made.report()["converged"]
    assert made.report()["engine"] == settings["engine"]
    assert cosines(made.components_, theirs).min() > 1 - tolerance
    lengths = np.sort(np.linalg.norm(made.components_, axis=1))
    np.testing.assert_allclose(lengths, np.sort(np.linalg.norm(theirs, axis=1)), rtol=1e-3)


def test_float64_takes_the_same_steps_as_scikit_learn(rows):
    # The same start and the same steps: after three, long before convergence, not even order and signs differ.
    ours, theirs = (
        ICA(k=15, max_iter=3, engine=engine, precision="float64").fit(rows).components_
        for engine in ("torch", "sklearn")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-9 * np.abs(theirs).max())


def test_picard_finds_the_same(rows, theirs):
    pytest.importorskip("picard", reason="python-picard is not installed")
    made = ICA(k=15, tol=1e-10, engine="picard").fit(rows)
    assert made.report()["converged"]
    # It stops at a gradient of 1e-6, that is within about 1e-5 of the direction.
    assert cosines(made.components_, theirs).min() > 1 - 1e-8


def test_picard_cut_short_warns_in_the_report_alone(rows):
    pytest.importorskip("picard", reason="python-picard is not installed")
    report = ICA(k=15, tol=1e-10, engine="picard", max_iter=1).fit(rows).report()
    assert not report["converged"]
    assert "did not converge" in report["warnings"][0]


def test_without_picard_the_error_says_what_to_install(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "picard", None)
    with pytest.raises(MissingError, match=r"pip install 'lpcm\[picard\]'"):
        ICA(k=5, engine="picard").fit(rows)


@pytest.mark.parametrize("settings", TORCH, ids=["float32", "float64"])
def test_the_same_state_gives_the_same_bytes_in_any_order_of_rows(settings, rows):
    first = ICA(k=7, **settings).fit(rows).components_
    second = ICA(k=7, **settings).fit(rows[::-1]).components_
    assert first.tobytes() == second.tobytes()


def test_a_torch_fit_that_is_cut_short_says_so(rows):
    report = ICA(k=15, engine="torch", max_iter=2).fit(rows).report()
    assert (report["converged"], report["iterations"]) == (False, 2)
    assert report["tol_reached"] > report["tol"]
    assert "after 2 iterations" in report["warnings"][0]


def test_a_batch_first_ends_where_all_rows_end_in_fewer_passes(rows):
    settings = {"k": 15, "engine": "torch", "tol": 1e-9}
    whole, batched = (ICA(**settings, batch=batch).fit(rows) for batch in (None, 3_001))
    # Both are fixed points of the same rows: each within sqrt(2e-9) = 4.5e-5 of it, and 1 - cos is half its square.
    assert cosines(whole.components_, batched.components_).min() > 1 - 1e-7
    assert batched.report()["iterations"] < whole.report()["iterations"]
    assert batched.report()["batch_iterations"] > 1
    assert "batch_iterations" not in whole.report()


def test_pca_before_ica_takes_the_engine(rows):
    alone = ICA(k=7, engine="torch").fit(rows).components_
    assert PCAThenICA(p=9, k=7, engine="torch").fit(rows).components_.tobytes() == alone.tobytes()


# --- rows in chunks ---


def chunked(rows, kind, tmp_path):
    if kind == "memmap":
        mapped = np.memmap(tmp_path / "rows.bin", np.float32, "w+", shape=rows.shape)
        mapped[:] = rows
        return mapped
    return ChunkedRows(np.array_split(rows, [1, 257, 257, 5_000]))  # one row, an empty chunk, thousands


@pytest.mark.parametrize("kind", ["memmap", "chunks"])
def test_streamed_rows_give_what_rows_in_memory_give(kind, rows, tmp_path):
    whole = ICA(k=15, engine="torch", precision="float64", tol=1e-10).fit(rows)
    made = ICA(k=15, engine="torch", precision="float64", tol=1e-10).fit(chunked(rows, kind, tmp_path))
    # Sums in another order: rounding of float64.
    assert cosines(whole.components_, made.components_).min() > 1 - 1e-9
    np.testing.assert_allclose(made.mean_, whole.mean_, rtol=1e-12)
    for said in ("n", "d", "k", "rank", "constant_features", "iterations"):
        assert made.report()[said] == whole.report()[said]


@pytest.mark.parametrize("shape", [(129, 33), (33, 129), (9001, 3), (2, 7)])
def test_the_streamed_spectrum_is_that_of_rows_in_memory(shape):
    X = Key.of(1).fold(*shape).generator().standard_normal(shape) + 100.0
    whole, streamed = Spectrum.of(X), StreamedSpectrum.read(ChunkedRows([X[:1], X[1:]]))
    assert streamed.shape == shape
    assert streamed.rank == whole.rank
    np.testing.assert_allclose(streamed.scales, whole.scales, rtol=1e-8)  # squaring in the Gram matrix
    overlap = np.abs(np.einsum("ij,ij->i", streamed.axes, whole.axes))
    np.testing.assert_allclose(overlap, 1, atol=1e-6)


def test_a_stream_is_never_held(tmp_path):
    n, d, k = 60_001, 33, 7
    mapped = np.memmap(tmp_path / "rows.bin", np.float32, "w+", shape=(n, d))
    mapped[:] = Key.of(0).generator().laplace(size=(n, d))
    tracemalloc.start()
    ICA(k=k, engine="torch", max_iter=3).fit(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A float64 copy would take 8 n d bytes = 16 MB, the rows themselves 8 MB; a chunk of 8,192 rows and its
    # float64 temporaries take 2 MB each.
    assert peak < 8 * n * d / 2


def test_a_batch_can_be_drawn_from_a_stream(rows, tmp_path):
    mapped = chunked(rows, "memmap", tmp_path)
    made = ICA(k=15, engine="torch", batch=3_001, tol=1e-9).fit(mapped)
    whole = ICA(k=15, engine="torch", tol=1e-9).fit(rows)
    assert cosines(whole.components_, made.components_).min() > 1 - 1e-6  # float32 rows, as above


def test_an_iterator_that_is_empty_after_one_pass_is_refused(rows):
    with pytest.raises(UsageError, match="can be read once"):
        ChunkedRows(iter([rows]))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([np.ones((3, 2)), np.ones((3, 4))], "width 4: expected 2"),
        ([np.ones(3)], r"shape \(3,\): expected"),
        ([np.full((3, 2), np.nan)], "NaN or infinity in 3 of 3 rows"),
        ([np.ones((3, 2)), np.ones((2, 2))], "all 2 features are constant over 5 rows"),
        ([np.ones((1, 2))], "1 row: expected at least 2"),
        ([], "0 row: expected at least 2"),
    ],
)
def test_chunks_that_cannot_be_unmixed_say_why(chunks, message):
    with pytest.raises(DataError, match=message):
        ICA(engine="torch").fit(ChunkedRows(chunks))


def test_chunks_need_the_torch_engine_and_no_certificate(rows):
    with pytest.raises(UsageError, match="take engine=torch"):
        ICA().fit(ChunkedRows([rows]))
    with pytest.raises(UsageError, match="certificate=none"):
        ICA(engine="torch", certificate="quick").fit(ChunkedRows([rows]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "torhc"}, "did you mean 'torch'"),
        ({"engine": "torch", "precision": "bf16"}, "expected 'float32' or 'float64'"),
        ({"batch": 100}, "settings of engine=torch: engine is sklearn"),
        ({"device": "cuda"}, "settings of engine=torch: engine is sklearn"),
        ({"engine": "torch", "batch": 1}, "expected 2 or more rows"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings, message, rows):
    with pytest.raises(UsageError, match=message):
        ICA(**settings).fit(rows)


def test_a_gpu_that_is_not_there_is_missing(rows, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match="torch sees no GPU"):
        ICA(k=5, engine="torch", device="cuda").fit(rows)


@pytest.mark.cuda
def test_a_gpu_finds_the_same(rows, theirs):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    made = ICA(k=15, tol=1e-10, max_iter=500, engine="torch", device="cuda").fit(rows)
    assert cosines(made.components_, theirs).min() > 1 - 1e-6  # float32, as on the CPU


def test_torch_is_imported_by_its_engine_alone():
    code = (
        "import sys, numpy as np\n"
        "from lpcm.disentanglers.ica import ICA\n"
        "ICA(k=2).fit(np.random.default_rng(0).laplace(size=(99, 3)))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
