"""Contracts: what an encoder, geometry, disentangler, adapter, task, dataset and metric must give.

These are protocols: a plugin need not inherit from anything here. ``lpcm.testing`` checks the promises.
Nothing here imports numpy, torch or scikit-learn.

Words used for shapes: ``n`` samples, ``d`` feature width, ``k`` components, ``c`` classes, ``q`` queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lpcm.plugin.records import Modality

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lpcm.keys import Key
    from lpcm.plugin.host import PluginHost
    from lpcm.plugin.truth import Captions, Factors, Finding, Score
    from lpcm.plugin.tuner import MakeTuner
    from lpcm.store.files import FileDigests


# --- encoders ---------------------------------------------------------------------------------


class Resize(str, Enum):
    """How an image of any shape becomes a square."""

    SHORTEST = "shortest"  # shorter side to `resize_to`, then the centre is cut out
    SQUASH = "squash"  # both sides to `size`; the aspect ratio is lost
    LONGEST = "longest"  # longer side to `size`, then padded with `background`


class Precision(str, Enum):
    """Arithmetic of the encoder; features are always handed on as float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Preprocessing as data, so that it can be compared, hashed and printed.

    Args:
        size: side of the square that the encoder reads, in pixels.
        resize: how the square is made.
        resize_to: length of the shorter side before the centre is cut out; ``None`` means ``size``.
        interpolation: ``"bicubic"``, ``"bilinear"``, ``"lanczos"`` or ``"nearest"`` (Pillow's, antialiased).
        mean, std: a channel value v in [0, 1] becomes (v - mean) / std.
        background: RGB in 0..255 put behind transparent pixels and into padding.
    """

    size: int
    resize: Resize = Resize.SHORTEST
    resize_to: int | None = None
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    background: tuple[int, int, int] = (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Expected answers of an encoder to the built-in probes (``lpcm.encoders.canary``).

    Args:
        values: for each modality, the fingerprint of the probes' features, rounded.
        tolerance: largest relative distance at which the fingerprint still counts as the same (fp32).
    """

    values: Mapping[Modality, tuple[float, ...]]
    tolerance: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What a user asked of an encoder.

    Args:
        argument: what followed the colon in ``name:ARGUMENT``; empty when there was none.
        weights: a local weights file instead of the default.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        precision: arithmetic of the towers.
        offline: never open a connection.
        files: digests of files on disk, remembered between runs.
        host: the plugins of this process, for an encoder that is made of others; ``None`` for the installed ones.
    """

    argument: str = ""
    weights: Path | None = None
    device: str = "cpu"
    precision: Precision = Precision.FP32
    offline: bool = False
    files: FileDigests
    host: PluginHost | None = None


@runtime_checkable
class Encoder(Protocol):
    """A pair of towers, or one. Building it is cheap: weights are read at the first call of ``encode_*``.

    Attributes:
        name: how the row calls it.
        dim: width d of the features.
        modalities: what it reads.
        unit_norm: whether rows have Euclidean norm 1.
        preprocess: for images; ``None`` when it reads none.
        canary: expected answers to the probes; ``None`` when none were recorded.

    It may also have ``prompt_tuner() -> PromptTuner`` (``lpcm.plugin.tuner``): its text tower as a differentiable
    function of the words before a class name, for prompt learning. That loads weights, and raises ``UsageError``
    where the tower does not allow it. And ``trainable(modality) -> TrainableTower`` (``lpcm.plugin.trainable``): a
    copy of a tower whose weights ``lpcm-train`` may change.
    """

    name: str
    dim: int
    modalities: frozenset[Modality]
    unit_norm: bool
    preprocess: Preprocess | None
    canary: Canary | None

    def digest(self) -> str:
        """Hex digest that moves with weights, preprocessing and precision. Imports no torch, loads no weights."""
        ...

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Features of preprocessed images: (n, 3, size, size) float32 -> (n, d) float32."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Features of texts: n strings -> (n, d) float32, in the space of ``encode_images``."""
        ...


@runtime_checkable
class StoredFeatures(Protocol):
    """An encoder whose features were computed elsewhere and are looked up by sample id."""

    def lookup(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Rows of the named samples, (n, d). Raises ``DataError`` that names ids that are not there."""
        ...


# --- datasets ---------------------------------------------------------------------------------


@runtime_checkable
class ImageSource(Protocol):
    """Where an image comes from. It is pickled to worker processes, so it holds paths or bytes, not pixels."""

    def open(self) -> Image:
        """Decode to a Pillow image of any mode. Raises ``OSError`` or ``ValueError`` when it is corrupt."""
        ...

    def fingerprint(self, files: FileDigests) -> str:
        """Hex digest that moves when the pixels can have changed."""
        ...


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Args:
        id: unique and stable within its dataset, for example the path relative to the root.
        image: ``None`` when only features of it are known.
        label: index into the dataset's ``classes``.
        domain: style or origin, one of the dataset's ``domains``; empty when it has none.
        captions: texts that describe this very image.
    """

    id: str
    image: ImageSource | None
    label: int
    domain: str = ""
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """What a user asked of a dataset.

    Args:
        argument: what followed the colon in ``name:ARGUMENT``; empty when there was none.
        root: folder under which downloaded datasets live, one folder each.
        offline: never open a connection.
        files: digests of files on disk, remembered between runs.
    """

    argument: str = ""
    root: Path
    offline: bool = False
    files: FileDigests


class Dataset(Protocol):
    """Named samples in splits. Building it is cheap: folders are listed at the first call of ``samples``.

    Attributes:
        name: how the row calls it.
        classes: class names in the order of the labels, as a prompt would say them.
        templates: prompts with one ``{}`` each.
        domains: names of the domains; empty when there are none.
        splits: names of the splits, of ``"train"``, ``"val"``, ``"test"``.
        licence: of the images.

    A dataset may also have:

    - ``notes``, a tuple of sentences that every row repeats, for example that its split is not the published one;
    - ``factors(split) -> Factors``, rows aligned with ``samples(split)``;
    - ``domain_classes``, a mapping from a domain to the labels that can occur there, where those are not all.
    """

    name: str
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    domains: tuple[str, ...]
    splits: tuple[str, ...]
    licence: str

    def samples(self, split: str) -> Sequence[Sample]:
        """Samples of a split in a fixed order. Raises ``MissingError`` or ``DataError``."""
        ...

    def digest(self) -> str:
        """Hex digest that moves with any sample: its id, label, domain, captions or file."""
        ...


# --- features ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Block:
    """Features of some samples with all that a task may know of them; rows are aligned.

    Args:
        features: (n, d) float32.
        labels: (n,) int64.
        ids: n sample ids.
        domains: n domain names; empty strings when the dataset has none.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> Block:
        """The block of these rows, in this order."""
        return Block(
            self.features[rows],
            self.labels[rows],
            tuple(self.ids[i] for i in rows),
            tuple(self.domains[i] for i in rows),
        )


# --- geometries, disentanglers, adapters --------------------------------------------------------


class Geometry(Protocol):
    """A latent space of dimension ``dim`` with its samplers.

    Attributes:
        dim: width of a latent vector as stored, d.
        similarity: what the contrastive loss uses there: ``"dot"``, ``"l1"``, ``"sqeuclidean"`` or ``"lp"``.
        identifies: what a contrastive optimum recovers: ``"orthogonal"``, ``"permutation"``, ``"linear"`` or
            ``"nothing"``.

    Where the similarity is ``"lp"`` it also has ``p``, the exponent, 1 or more. It may have ``matched_scale``, the
    logit scale at which the loss's model of a partner is the conditional itself; ``None`` where none is.
    """

    dim: int
    similarity: str
    identifies: str

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n latent vectors, (n, d)."""
        ...

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw the partner of each row of z, (n, d) -> (n, d)."""
        ...

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest point of the space to each row of z, (n, d) -> (n, d)."""
        ...

    def head(self, d_in: int) -> torch.nn.Module:
        """A module (n, d_in) -> (n, d) that lands in the space."""
        ...


class Disentangler(Protocol):
    """A scikit-learn transformer of features. Fitted on rows without labels.

    Attributes:
        components_: (k, d) the linear map, when it is one.

    It may also declare ``equivariance``, a tuple of ``"translation"``, ``"scale"`` and ``"rotation"``: what can be
    done to the features without changing what is recovered, up to order and signs.
    """

    def fit(self, X: NDArray[np.float32]) -> Disentangler:
        """Fit on (n, d) features."""
        ...

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) -> (n, k)."""
        ...

    def report(self) -> Mapping[str, Any]:
        """What the row says of the fit: k, whitening, iterations, convergence and the like, as JSON values."""
        ...


@dataclass(frozen=True, eq=False)
class TextPrompts:
    """The text side of a dataset as an adapter sees it.

    Args:
        features: (c, d) float32, a unit vector a class: the normalised mean over the templates.
        classes: the c class names.
        tuner: makes the text tower differentiable, for adapters that learn prompts, in the space of ``features``;
            ``None`` when the encoder has none.
    """

    features: NDArray[np.float32]
    classes: tuple[str, ...]
    tuner: MakeTuner | None = None


class Adapter(Protocol):
    """A classifier on frozen features. Selects its own settings on ``val``, never on test.

    It may also have ``tune(folds, *, classes, key) -> Tuned`` (``lpcm.adapters.tuning``), which finds the settings
    that do best on average over several folds, such as left-out domains.
    """

    selection: str
    """How settings are chosen, as the row says it, for example ``"validation accuracy, then log-loss"``."""

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> Adapter:
        """Fit on (n, d) features and (n,) labels in [0, classes)."""
        ...

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        ...

    def report(self) -> Mapping[str, Any]:
        """What the row says of the fit: chosen settings, convergence, as JSON values."""
        ...


# --- tasks ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of the product that a study asks for.

    Args:
        axes: what varies, in the order of the table's columns, for example
            ``{"encoder": "lite0", "disentangler": "ica", "shots": 16, "seed": 3}``.
    """

    axes: Mapping[str, Any]


class Bench(Protocol):
    """All that a task may touch while it fits: never a test label.

    Attributes:
        key: the root of this cell's randomness; it depends on the dataset and the seed, not on the encoder.
        classes: class names of the dataset.
        allowed: labels that the domains of the test side can hold; ``None`` when that is all of them.
    """

    key: Key
    classes: tuple[str, ...]

    def splits(self) -> Sequence[str]:
        """Names of the dataset's splits that ``block`` hands out."""
        ...

    def block(self, split: str) -> Block:
        """Features and labels of ``"train"`` or ``"val"``; raises ``SealError`` for ``"test"``."""
        ...

    @property
    def allowed(self) -> tuple[int, ...] | None:
        """Labels that the domains of the test side can hold; ``None`` when that is all of them."""
        ...

    def prompts(self, templates: Sequence[str] | None = None) -> TextPrompts | None:
        """Text features of the classes; ``None`` when the encoder reads no text.

        ``templates`` replace the dataset's own; each holds one ``{}``.
        """
        ...

    def texts(self, strings: Sequence[str]) -> NDArray[np.float32] | None:
        """Features of any texts, (m, d); ``None`` when the encoder reads no text."""
        ...

    def captions(self, split: str) -> Captions:
        """Captions of ``"train"`` or ``"val"`` with their features; raises ``DataError`` when there are none."""
        ...

    def factors(self, split: str) -> Factors | None:
        """Factors of ``"train"`` or ``"val"``, aligned with ``block``; ``None`` when the dataset knows none."""
        ...

    def pictures(self, ids: Sequence[str], size: int) -> Sequence[Image]:
        """RGB thumbnails of size x size pixels of training or validation samples.

        Raises ``DataError`` when the dataset holds no images.
        """
        ...

    def oracle(self) -> Block:
        """The test block WITH its labels, for protocols that publish such numbers; the row is marked.

        Raises ``SealError`` unless the task's ``oracle(axes)`` says that this cell is one of these.
        """
        ...

    def metric(self, name: str, **settings: Any) -> Metric:
        """A metric by its name; ``settings`` as for ``disentangler``."""
        ...

    def disentangler(self, rows: NDArray[np.float32], key: Key, **settings: Any) -> Disentangler:
        """The cell's disentangler fitted on these rows; the same rows, key and settings are fitted only once.

        ``settings`` are the task's own; those that the study sets go before them.
        """
        ...

    def adapter(self, **settings: Any) -> Adapter:
        """A new adapter of the cell's kind; ``settings`` as for ``disentangler``."""
        ...


class Fitted(Protocol):
    """What a task made of the training side; it answers for test inputs and cannot fit any more.

    It may also have:

    - ``score(predictions, truth, classes)``, used instead of the task's where the score depends on the cell;
    - ``exhibits``, a mapping from file names to bytes, such as pictures, kept beside the row.
    """

    facts: Mapping[str, Any]
    """What the row says of the fit, as JSON values."""
    selection: str
    """How settings were chosen."""
    warnings: Sequence[str]
    """What the reader of the row should know, for example that ICA did not converge."""

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any] | tuple[NDArray[Any], ...]:
        """Answers for the test side, (n, d) -> (n,) labels, (n, c) logits or (n, k) codes, or several arrays.

        Where the task's truth is ``Truth.OWNERS`` it gets the captions' features (m, d) as a second argument, in
        an order that says nothing of whose they are.
        """
        ...


class Task(Protocol):
    """A downstream task: names its cells, fits on the training side, predicts, scores.

    It may also have:

    - ``truth``, a ``Truth``: what ``score`` is given; by default the labels;
    - ``partition(roster, axes) -> Partition``: which samples are its test side; by default the dataset's splits;
    - ``oracle(axes) -> bool``: whether a cell repeats a published rule that looks at test labels;
    - ``pooled``, the name of an axis, such as a target domain, over which the summary also averages.
    """

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """Points of the product of ``axes`` (encoder, dataset, disentangler, adapter, metric, seed ...) to be run.

        ``axes["domain"]`` holds pairs (dataset, domain) for the datasets that have domains.
        """
        ...

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> Fitted:
        """Fit one cell."""
        ...

    def score(self, predictions: Any, truth: Any, classes: int) -> Score:
        """Score what ``predict`` gave against what the seal just handed out: labels, (n,), or as ``truth`` says."""
        ...


class Laboratory(Protocol):
    """All that a simulation may touch.

    Attributes:
        key: the root of this cell's randomness; it depends on the seed alone.
        workspace: folder of this cell, for checkpoints; it outlives an interruption and is removed when the row is
            stored.
    """

    key: Key
    workspace: Path

    def geometry(self, dim: int, **settings: Any) -> Geometry:
        """The cell's latent space; ``settings`` are the task's own, those that the study sets go before them."""
        ...

    def metric(self, name: str, **settings: Any) -> Metric:
        """A metric by its name."""
        ...

    def progress(self, done: int, total: int, said: str) -> None:
        """Tell the user how far it is, and in a few words how it stands, for example loss and score."""
        ...


class Simulation(Protocol):
    """A task that needs neither encoder nor dataset: it makes its own data. Its record's ``axes`` say so."""

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """Points of the product of ``axes`` (geometry, marginal, conditional, metric, seed) to be run."""
        ...

    def simulate(self, laboratory: Laboratory, axes: Mapping[str, Any]) -> Finding:
        """Run one cell."""
        ...


class Metric(Protocol):
    """A score with what chance gives for it.

    Attributes:
        card: definition, range, source and known failures, in Markdown.

    It may also have ``example(key)``, which returns a truth, a perfect and a chance prediction for it.
    """

    card: str

    def __call__(self, truth: NDArray[Any], prediction: NDArray[Any]) -> float:
        """The score."""
        ...

    def null(self, key: Key, truth: NDArray[Any], prediction: NDArray[Any]) -> float:
        """The score that chance gives on this very problem."""
        ...
