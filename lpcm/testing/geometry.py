"""What a latent geometry promises. Refuses to judge whether its theorem is true, only whether it is declared.

Source: the contract ``lpcm.plugin.contracts.Geometry``; arXiv 2402.06223, sections 3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.records import GeometryRecord
from lpcm.testing.common import WITH_SETTINGS, watched
from lpcm.testing.subject import CheckFunction, Subject, expect, skip

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

SIMILARITIES = ("dot", "l1", "sqeuclidean", "lp")
IDENTIFIES = ("orthogonal", "permutation", "linear", "nothing")

_DIMS, _N, _D_IN = (5, 6), 257, 7

# A projection in fp64 is off by a few roundings; a sampler that works in fp32 by a few of 6e-8.
SPACE_TOLERANCE = 1e-5


def build(subject: Subject) -> Any:
    """A new geometry with the settings of its record, of dimension 5; of 6 where its space has no odd dimension."""
    first, second = _DIMS
    try:
        return subject.load()(first)
    except UsageError:
        return subject.load()(second)


def _shared(subject: Subject) -> Any:
    return subject.once("geometry", lambda: build(subject))


def _marginal(subject: Subject) -> NDArray[np.float64]:
    return subject.once("z", lambda: _shared(subject).sample_marginal(Key.of(0).fold("z"), _N))


def _partners(subject: Subject) -> NDArray[np.float64]:
    z = _marginal(subject)
    return subject.once(
        "partners", lambda: _shared(subject).sample_conditional(Key.of(0).fold("pair"), z.copy())
    )


def record_tells_the_truth(subject: Subject) -> None:
    """Its similarity and what it identifies are in words that lpcm knows, the latter as the record announces."""
    geometry, record = _shared(subject), cast(GeometryRecord, subject.record)
    expect(
        geometry.similarity in SIMILARITIES,
        f"similarity is {geometry.similarity!r}: expected one of {SIMILARITIES}",
    )
    expect(
        geometry.similarity != "lp" or _power(geometry) >= 1,
        "similarity is 'lp': expected an attribute p, the power, of 1 or more",
    )
    expect(
        geometry.identifies in IDENTIFIES,
        f"identifies is {geometry.identifies!r}: expected one of {IDENTIFIES}",
    )
    expect(
        geometry.identifies == record.identifies,
        f"the record says that it identifies {record.identifies!r}, the geometry {geometry.identifies!r}",
    )


def unknown_laws_are_refused(subject: Subject) -> None:
    """A geometry with the settings ``marginal`` and ``conditional`` refuses a law that it does not know."""
    laws = [param.name for param in subject.record.params if param.name in ("marginal", "conditional")]
    if not laws:
        skip("the record announces no laws as settings")
    for law in laws:
        try:
            subject.load()(_shared(subject).dim, **{law: "no-such-law:1"})
        except UsageError:
            continue
        expect(False, f"{law}='no-such-law:1' is taken: raise lpcm.errors.UsageError")


def samples_have_the_declared_shape(subject: Subject) -> None:
    """``n`` draws are (n, dim), finite, also for one draw."""
    import numpy as np

    geometry = _shared(subject)
    one = geometry.sample_marginal(Key.of(0), 1)
    for what, z, n in (
        ("marginal", _marginal(subject), _N),
        ("marginal", one, 1),
        ("partners", _partners(subject), _N),
    ):
        expect(
            z.shape == (n, geometry.dim),
            f"{what} of {n} have shape {z.shape}: expected ({n}, {geometry.dim})",
        )
        expect(np.isfinite(z).all(), f"{what} are not finite")


def samples_lie_in_the_space(subject: Subject) -> None:
    """Draws of the marginal and of the conditional are their own nearest points of the space."""
    for what, z in (("marginal", _marginal(subject)), ("conditional", _partners(subject))):
        off = _off_the_space(subject, z)
        expect(off <= SPACE_TOLERANCE, f"a draw of the {what} is {off:.2g} away from the space")


def projection_is_settled(subject: Subject) -> None:
    """Projecting lands in the space: projecting again changes nothing."""
    far = 10 * Key.of(3).generator().standard_normal((_N, _shared(subject).dim))
    off = _off_the_space(subject, _shared(subject).project(far))
    expect(off <= SPACE_TOLERANCE, f"a projected point moves by {off:.2g} when it is projected again")


def partners_are_nearer_than_strangers(subject: Subject) -> None:
    """The conditional couples: a partner is nearer to its latent than a draw of the marginal is."""
    import numpy as np

    z, partners = _marginal(subject), _partners(subject)
    near = float(np.linalg.norm(z - partners, axis=1).mean())
    far = float(np.linalg.norm(z - np.roll(z, 1, axis=0), axis=1).mean())
    expect(near > 0, "partners are the latents themselves: nothing is left to vary")
    expect(near < far, f"partners are {near:.3g} away on average, strangers {far:.3g}")


def same_key_same_samples(subject: Subject) -> None:
    """Draws are decided by their key: the same key the same bits, another key others."""
    import numpy as np

    geometry, z = build(subject), _marginal(subject)
    expect(
        np.array_equal(geometry.sample_marginal(Key.of(0).fold("z"), _N), z),
        "sample_marginal gives other draws for the same key",
    )
    expect(
        np.array_equal(geometry.sample_conditional(Key.of(0).fold("pair"), z.copy()), _partners(subject)),
        "sample_conditional gives other draws for the same key",
    )
    other = geometry.sample_marginal(Key.of(1), _N)
    expect(not np.array_equal(other, z), "sample_marginal gives the same draws for another key")


def latents_are_left_alone(subject: Subject) -> None:
    """The latents that are handed over are not changed."""
    import numpy as np

    z = _marginal(subject).copy()
    _shared(subject).sample_conditional(Key.of(0), z)
    _shared(subject).project(z)
    expect(np.array_equal(z, _marginal(subject)), "the latents were changed: work on a copy")


def head_lands_in_the_space(subject: Subject) -> None:
    """The head maps rows of any size, small, usual and huge, into the space."""
    for scale in (1e-3, 1.0, 1e3):
        _, out = _through_head(subject, scale)
        wanted = (_N, _shared(subject).dim)
        expect(tuple(out.shape) == wanted, f"the head gives shape {tuple(out.shape)}: expected {wanted}")
        off = _off_the_space(subject, out.detach().double().numpy())
        # fp32: relative to the size of the vectors, which in an unbounded space grow with the input.
        size = max(1.0, float(out.detach().abs().max()))
        expect(
            off <= 1e-4 * size, f"the head lands {off:.2g} away from the space for inputs of size {scale:g}"
        )


def gradient_is_finite_at_the_border(subject: Subject) -> None:
    """The contrastive loss has a finite gradient for tiny, usual and huge inputs, and for equal points."""
    import torch

    for scale in (0.0, 1e-3, 1.0, 1e3):
        x, out = _through_head(subject, scale)
        loss = _contrastive_loss(out, out.detach().clone(), _shared(subject))
        expect(torch.isfinite(loss), f"the loss is {loss.item()} for inputs of size {scale:g}")
        (gradient,) = torch.autograd.grad(loss, [x])
        expect(torch.isfinite(gradient).all(), f"the gradient is not finite for inputs of size {scale:g}")


def _through_head(subject: Subject, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    # A module draws its first weights from torch's global generator: fixed here, and put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = _shared(subject).head(_D_IN)
    expect(
        isinstance(head, torch.nn.Module), f"head(d_in) gave a {type(head).__name__}: expected a torch Module"
    )
    rows = Key.of(4).generator().standard_normal((_N, _D_IN))
    # Rows that are exactly zero have no direction; a head must still be differentiable around biases.
    x = torch.tensor(rows * scale, dtype=torch.float32, requires_grad=True)
    return x, head(x)


def _contrastive_loss(a: torch.Tensor, b: torch.Tensor, geometry: Any) -> torch.Tensor:
    """Symmetric InfoNCE (arXiv 2402.06223, equation 1) at temperature 1; for checking, not for speed."""
    import torch

    difference = a[:, None, :] - b[None, :, :]
    if geometry.similarity == "dot":
        logits = a @ b.T
    elif geometry.similarity == "l1":
        logits = -difference.abs().sum(-1)
    elif geometry.similarity == "sqeuclidean":
        logits = -difference.square().sum(-1)
    else:
        logits = -difference.abs().pow(_power(geometry)).sum(-1)
    target = torch.arange(len(a))
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def _power(geometry: Any) -> float:
    return float(getattr(geometry, "p", 0.0))


def _off_the_space(subject: Subject, z: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.abs(_shared(subject).project(z.copy()) - z).max())


def _exercise(subject: Subject) -> None:
    geometry = build(subject)
    z = geometry.sample_marginal(Key.of(0), 17)
    geometry.project(geometry.sample_conditional(Key.of(0), z))


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    record_tells_the_truth,
    unknown_laws_are_refused,
    samples_have_the_declared_shape,
    samples_lie_in_the_space,
    projection_is_settled,
    partners_are_nearer_than_strangers,
    same_key_same_samples,
    latents_are_left_alone,
    head_lands_in_the_space,
    gradient_is_finite_at_the_border,
    *watched(_exercise),
)
