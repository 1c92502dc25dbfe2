"""The proof that FastICA adds nothing to PCA-whitening for an L2 probe: the two cannot be told apart.

FastICA(k) is a rotation of whitening to k dimensions, and both the loss and |W|^2 are blind to rotations, so
the minimum and the predictions are the same. Only solver tolerance and float32 features remain.
"""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lpcm.adapters.linear_probe import LinearProbe
from lpcm.adapters.logistic import PathSolver, log_loss
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.pca_ica import PCAThenICA
from lpcm.disentanglers.rotation import RandomRotation
from lpcm.disentanglers.whiten import Whiten
from lpcm.keys import Key

CLASSES, K = 7, 15
TURNED = {
    "rotation": RandomRotation(k=K, random_state=1),
    "ica": ICA(k=K, random_state=2),
    "pca-ica": PCAThenICA(p=31, k=K, random_state=3),
}


@pytest.fixture(scope="module")
def data():
    generator = Key.of(0).fold("invariance").generator()
    centres = generator.standard_normal((CLASSES, 33))
    mixing = generator.standard_normal((33, 65))

    def draw(n):
        y = np.arange(n) % CLASSES
        return ((centres[y] + generator.laplace(size=(n, 33))) @ mixing).astype(np.float32), y

    return draw(701), draw(105), draw(2001)


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("C", [1e-2, 1e0, 1e2, 1e4])
def test_the_probe_has_the_same_minimum_on_any_rotation(name, C, data):
    (X, y), _, (T, _) = data
    objectives, predictions = [], []
    for made in (Whiten(k=K), TURNED[name]):
        Z = made.fit(X).transform(X).astype(np.float64)
        solution = PathSolver(Z, y, CLASSES).solve(C)
        assert solution.converged
        loss = C * len(y) * log_loss(Z @ solution.weights + solution.bias, y)
        objectives.append(loss + 0.5 * np.square(solution.weights).sum())
        predictions.append((made.transform(T) @ solution.weights + solution.bias).argmax(1))
    # The solver stops within 1e-9 of the minimum; float32 features move it by 1e-7.
    assert objectives[1] == pytest.approx(objectives[0], rel=1e-6)
    assert np.mean(predictions[0] == predictions[1]) >= 0.999


@pytest.mark.parametrize("name", TURNED)
def test_the_whole_probe_with_its_choice_of_c_agrees(name, data):
    (X, y), (V, v), (T, _) = data
    probes = []
    for made in (Whiten(k=K), TURNED[name]):
        made.fit(X)
        val = (made.transform(V), v)
        probe = LinearProbe().fit(made.transform(X), y, classes=CLASSES, key=Key.of(0), val=val)
        probes.append((probe.report()["C"], probe.logits(made.transform(T)).argmax(1)))
    assert probes[0][0] == probes[1][0]
    assert np.mean(probes[0][1] == probes[1][1]) >= 0.999


def test_scikit_learn_agrees_that_they_are_the_same(data):
    (X, y), _, (T, _) = data
    predictions = []
    for made in (Whiten(k=K), TURNED["ica"]):
        model = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(made.fit(X).transform(X), y)
        predictions.append(model.predict(made.transform(T)))
    assert np.mean(predictions[0] == predictions[1]) >= 0.999


def test_an_l1_probe_does_tell_them_apart(data):
    # The counter-check: the equality above is a fact about L2, not about these features.
    (X, y), _, (T, _) = data
    predictions = []
    for made in (Whiten(k=K), TURNED["ica"]):
        model = LogisticRegression(
            C=0.02, l1_ratio=1.0, solver="saga", tol=1e-3, max_iter=2000, random_state=0
        )
        predictions.append(model.fit(made.fit(X).transform(X), y).predict(made.transform(T)))
    assert np.mean(predictions[0] == predictions[1]) < 0.99
