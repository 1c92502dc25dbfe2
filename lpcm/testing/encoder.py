"""What an encoder promises. Refuses to judge whether its features are good.

Source: the contract ``lpcm.plugin.contracts.Encoder``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lpcm.errors import DataError, LpcmError
from lpcm.plugin.contracts import Encoder, EncoderOptions, Precision, Preprocess
from lpcm.plugin.records import EncoderRecord, Modality
from lpcm.store.files import FileDigests
from lpcm.testing.common import LOADING, watched
from lpcm.testing.data import CAPTIONS, make_tiny_images
from lpcm.testing.digests import OtherFiles, expect_digest
from lpcm.testing.subject import CheckFunction, Subject, expect, refuses, skip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Libraries order the sums of a product by its shape, so a row may move in its last bits with its batch. Deep
# fp32 towers stay below 1e-5 of a row's norm; a batch statistic or a padded text moves it by 1e-2 and more.
BATCH_TOLERANCE = 1e-4

# A norm is a sum of d squares in fp32: off by less than d * 6e-8.
NORM_TOLERANCE = 1e-3


def build(subject: Subject, files: FileDigests | None = None, **changed: Any) -> Any:
    """A new encoder, offline, with some options changed."""
    options = EncoderOptions(argument=subject.argument, offline=True, files=files or FileDigests(None))
    return subject.load()(replace(options, **changed))


def shared(subject: Subject) -> Any:
    """The encoder that most checks look at: its weights are read once."""
    return subject.once("encoder", lambda: build(subject))


def _reads(subject: Subject, modality: Modality) -> Any:
    encoder = shared(subject)
    if hasattr(encoder, "lookup"):
        skip("its features are stored, not computed")
    if modality not in encoder.modalities:
        skip(f"it reads no {modality.value}s")
    return encoder


def _pixels(encoder: Encoder) -> Any:
    import numpy as np
    import torch

    from lpcm.encoders.preprocess import Transform

    expect(
        isinstance(encoder.preprocess, Preprocess),
        f"preprocess is {encoder.preprocess!r}: expected a Preprocess",
    )
    transform = Transform(cast(Preprocess, encoder.preprocess))
    return torch.from_numpy(np.stack([transform(image) for image in make_tiny_images()]))


def _array(features: Any) -> NDArray[np.float32]:
    import numpy as np

    return np.asarray(features.detach().cpu().numpy())


def _asker(
    subject: Subject, modality: Modality
) -> tuple[Callable[[Sequence[int]], NDArray[np.float32]], int]:
    """A function that encodes the inputs of these places in one batch, and how many inputs there are."""
    encoder = _reads(subject, modality)
    if modality is Modality.IMAGE:
        pixels = subject.once("pixels", lambda: _pixels(encoder))
        return lambda places: _array(encoder.encode_images(pixels[list(places)])), len(pixels)
    return lambda places: _array(encoder.encode_texts([CAPTIONS[place] for place in places])), len(CAPTIONS)


def _all(subject: Subject, modality: Modality) -> NDArray[np.float32]:
    ask, count = _asker(subject, modality)
    return subject.once(f"features of {modality.value}", lambda: ask(range(count)))


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    import numpy as np

    expect(one.shape == other.shape, f"shapes {one.shape} and {other.shape} of the same inputs differ")
    norms = np.maximum(np.linalg.norm(one, axis=1), 1e-12)
    return float((np.linalg.norm(one.astype(float) - other, axis=1) / norms).max())


def record_tells_the_truth(subject: Subject) -> None:
    """Width and modalities are those that the record announces."""
    encoder, record = shared(subject), cast(EncoderRecord, subject.record)
    for name in ("name", "dim", "modalities", "unit_norm", "preprocess", "canary", "digest"):
        expect(hasattr(encoder, name), f"the encoder has no attribute {name!r}")
    expect(
        isinstance(encoder.dim, int) and encoder.dim > 0, f"dim is {encoder.dim!r}: expected a positive int"
    )
    expect(record.dim in (None, encoder.dim), f"the record says dim={record.dim}, the encoder {encoder.dim}")
    expect(encoder.modalities, "modalities is empty")
    if not record.takes:  # what a general name reads depends on its argument
        told, given = sorted(record.modalities), sorted(encoder.modalities)
        expect(told == given, f"the record says modalities {_names(told)}, the encoder {_names(given)}")


def digest_is_stable(subject: Subject) -> None:
    """Two encoders built alike have the same digest, in hexadecimal."""
    one, other = build(subject).digest(), build(subject).digest()
    expect_digest(one, "digest()")
    expect(one == other, f"two encoders built alike have digests {one[:12]} and {other[:12]}")


def digest_moves_with_precision(subject: Subject) -> None:
    """Features of another precision are never taken for these."""
    if hasattr(shared(subject), "lookup"):
        skip("its features are stored, not computed")
    digests = {build(subject, precision=precision).digest() for precision in Precision}
    expect(len(digests) == len(Precision), "digest() is the same for fp32, bf16 and fp16")


def digest_moves_with_preprocessing(subject: Subject) -> None:
    """Features of other pixels are never taken for these."""
    _reads(subject, Modality.IMAGE)
    encoder = build(subject)
    preprocess = encoder.preprocess
    expect(isinstance(preprocess, Preprocess), f"preprocess is {preprocess!r}: expected a Preprocess")
    other = "bilinear" if preprocess.interpolation != "bilinear" else "bicubic"
    try:
        encoder.preprocess = replace(preprocess, interpolation=other)
    except AttributeError:
        skip("preprocess cannot be changed on the encoder")
    expect(
        encoder.digest() != build(subject).digest(),
        f"digest() is the same with interpolation {other!r}: compute it from self.preprocess",
    )


def digest_moves_with_weights(subject: Subject) -> None:
    """Weights with another content give another digest, or are refused."""
    other = OtherFiles(None)
    with other as files:
        try:
            encoder = build(subject, files)
            digest = encoder.digest()
        except DataError:
            return  # it knows which weights it wants
        if not other.asked:
            skip("it reads no weights through options.files")
    expect(digest != build(subject).digest(), "digest() is the same for weights files of another content")


def digest_needs_no_torch(subject: Subject) -> None:
    """Building it and asking for its digest import no torch: a finished study is answered at once."""
    if not subject.importable:
        skip("only a loader that another process can import can be watched")
    build(subject).digest()  # a missing file is told here, where it is understood
    code = (
        "import sys\n"
        "from lpcm.plugin.contracts import EncoderOptions\n"
        "from lpcm.plugin.host import resolve\n"
        "from lpcm.store.files import FileDigests\n"
        f"make = resolve({subject.record.loader!r}, 'loader')\n"
        f"options = EncoderOptions(argument={subject.argument!r}, offline=True, files=FileDigests(None))\n"
        "make(options).digest()\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    expect(
        "Traceback" not in done.stderr, f"fails in a fresh process: {done.stderr.strip().splitlines()[-1:]}"
    )
    expect(done.returncode == 0, "torch was imported: import it inside encode_images and encode_texts")


def image_features_have_the_declared_shape(subject: Subject) -> None:
    """(n, 3, size, size) float32 gives (n, dim) float32, also for one image."""
    _declared_shape(subject, Modality.IMAGE)


def text_features_have_the_declared_shape(subject: Subject) -> None:
    """The n texts give (n, dim) float32, also for one text."""
    _declared_shape(subject, Modality.TEXT)


def _declared_shape(subject: Subject, modality: Modality) -> None:
    ask, count = _asker(subject, modality)
    dim = shared(subject).dim
    for rows, features in ((count, _all(subject, modality)), (1, ask([0]))):
        expect(
            features.shape == (rows, dim), f"features have shape {features.shape}: expected ({rows}, {dim})"
        )
        expect(features.dtype.name == "float32", f"features are {features.dtype.name}: expected float32")


def features_are_finite(subject: Subject) -> None:
    """No feature of an image or a text is NaN or infinite."""
    import numpy as np

    if hasattr(shared(subject), "lookup"):
        skip("its features are stored, not computed")
    for modality in shared(subject).modalities:
        features = _all(subject, Modality(modality))
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        expect(not len(bad), f"features of {modality.value} {bad[:1].tolist()} are not finite")


def images_do_not_depend_on_their_batch(subject: Subject) -> None:
    """An image has the same features alone, in a part of the batch, and in another order."""
    _batch_invariant(subject, Modality.IMAGE)


def texts_do_not_depend_on_their_batch(subject: Subject) -> None:
    """A text has the same features alone, in a part of the batch, and in another order."""
    _batch_invariant(subject, Modality.TEXT)


def _batch_invariant(subject: Subject, modality: Modality) -> None:
    ask, count = _asker(subject, modality)
    together = _all(subject, modality)
    for what, places in (
        ("alone", [1]),
        ("in a smaller batch", [2, 3, 4]),
        ("in another order", list(range(count))[::-1]),
    ):
        apart = _apart(together[places], ask(places))
        expect(
            apart <= BATCH_TOLERANCE,
            f"{modality.value} features {what} are off by {apart:.2g}, allowed is {BATCH_TOLERANCE:g}",
        )


def same_input_gives_the_same_features(subject: Subject) -> None:
    """Two encoders built alike give the same bits for the same batch."""
    import numpy as np

    shared_encoder = shared(subject)
    if hasattr(shared_encoder, "lookup"):
        skip("its features are stored, not computed")
    fresh = build(subject)
    for modality in shared_encoder.modalities:
        known = _all(subject, Modality(modality))
        if modality is Modality.IMAGE:
            again = _array(fresh.encode_images(subject.once("pixels", lambda: _pixels(shared_encoder))))
        else:
            again = _array(fresh.encode_texts(list(CAPTIONS)))
        expect(np.array_equal(known, again), f"a second encoder gives other {modality.value} features")


def different_inputs_give_different_features(subject: Subject) -> None:
    """The encoder looks at its input."""
    import numpy as np

    if hasattr(shared(subject), "lookup"):
        skip("its features are stored, not computed")
    for modality in shared(subject).modalities:
        # Of the images the last repeats the first in another mode, so only the probes are compared.
        features = _all(subject, Modality(modality))[:5]
        expect(
            len(np.unique(features, axis=0)) == len(features),
            f"different {modality.value}s have the same features",
        )


def unit_norm_is_as_declared(subject: Subject) -> None:
    """``unit_norm`` says whether every row has Euclidean norm 1."""
    import numpy as np

    encoder = shared(subject)
    if hasattr(encoder, "lookup"):
        skip("its features are stored, not computed")
    off = 0.0
    for modality in encoder.modalities:
        norms = np.linalg.norm(_all(subject, Modality(modality)).astype(float), axis=1)
        off = max(off, float(np.abs(norms - 1).max()))
    if encoder.unit_norm:
        expect(off <= NORM_TOLERANCE, f"unit_norm is True, a row has a norm off 1 by {off:.2g}")
    else:
        expect(off > NORM_TOLERANCE, "unit_norm is False, but every row has norm 1")


def inputs_are_left_alone(subject: Subject) -> None:
    """The pixels that are handed over are not changed."""
    import torch

    encoder = _reads(subject, Modality.IMAGE)
    pixels = subject.once("pixels", lambda: _pixels(encoder)).clone()
    before = pixels.clone()
    encoder.encode_images(pixels)
    expect(torch.equal(before, pixels), "encode_images changed the images it was given: work on a copy")


def canary_matches(subject: Subject) -> None:
    """The answers to the built-in probes are those that the author recorded."""
    from lpcm.encoders.canary import check

    encoder = shared(subject)
    if hasattr(encoder, "lookup"):
        skip("its features are stored, not computed")
    if encoder.canary is None:
        skip(f"no canary is recorded: python -m lpcm.testing.canary {subject.record.name} prints one")
    check(encoder)


def missing_modality_is_refused(subject: Subject) -> None:
    """What it does not read is refused with an error that says so."""
    encoder = shared(subject)
    if hasattr(encoder, "lookup"):
        skip("its features are stored, not computed")
    missing = [modality for modality in Modality if modality not in encoder.modalities]
    if not missing:
        skip("it reads images and texts")
    import torch

    for modality in missing:
        if modality is Modality.TEXT:
            refuses(lambda: encoder.encode_texts(["a"]), "encode_texts of an encoder without text")
        else:
            refuses(
                lambda: encoder.encode_images(torch.zeros(1, 3, 8, 8)),
                "encode_images of an encoder without images",
            )


def unknown_ids_are_refused(subject: Subject) -> None:
    """Stored features: an id that is not there is refused with an error that names it."""
    encoder = shared(subject)
    if not hasattr(encoder, "lookup"):
        skip("its features are computed, not stored")
    stranger = "no-such-sample-id"
    try:
        encoder.lookup([stranger])
    except LpcmError as error:
        expect(stranger in str(error), "the error does not name the id that is missing")
        return
    expect(False, "lookup of an unknown id raised nothing")


def _exercise(subject: Subject) -> None:
    encoder = build(subject)
    encoder.digest()
    if hasattr(encoder, "lookup"):
        return
    if Modality.IMAGE in encoder.modalities:
        encoder.encode_images(_pixels(encoder))
    if Modality.TEXT in encoder.modalities:
        encoder.encode_texts(list(CAPTIONS))


def _names(modalities: Sequence[Modality]) -> str:
    return "+".join(modality.value for modality in modalities)


CHECKS: tuple[CheckFunction, ...] = (
    *LOADING,
    record_tells_the_truth,
    digest_is_stable,
    digest_moves_with_precision,
    digest_moves_with_preprocessing,
    digest_moves_with_weights,
    digest_needs_no_torch,
    image_features_have_the_declared_shape,
    text_features_have_the_declared_shape,
    features_are_finite,
    images_do_not_depend_on_their_batch,
    texts_do_not_depend_on_their_batch,
    same_input_gives_the_same_features,
    different_inputs_give_different_features,
    unit_norm_is_as_declared,
    inputs_are_left_alone,
    canary_matches,
    missing_modality_is_refused,
    unknown_ids_are_refused,
    *watched(_exercise),
)
