"""A one-file plugin for the tests of what a task may ask for beyond labels: each task shows what it was given."""

import numpy as np

from lpcm.plugin import (
    DatasetRecord,
    EncoderRecord,
    FactorKind,
    Factors,
    Finding,
    Kind,
    Modality,
    Param,
    Partition,
    Sample,
    Score,
    TaskRecord,
    Truth,
    hookimpl,
)

DOMAINS = ("photo", "sketch", "clay")
CLASSES = ("cat", "dog", "eel")


class Words:
    """Features are drawn from the sample's id or the text; a caption has the features of its image."""

    name = "words"
    dim = 7
    modalities = frozenset({Modality.IMAGE, Modality.TEXT})
    unit_norm = False
    preprocess = None
    canary = None

    def __init__(self, options):
        pass

    def digest(self):
        return "words"

    def lookup(self, ids):
        from lpcm.keys import Key

        rows = [Key.of(0).fold(name).generator().standard_normal(self.dim) for name in ids]
        return np.array(rows, dtype=np.float32)

    def encode_texts(self, texts):
        import torch

        return torch.from_numpy(self.lookup([text.partition(" | ")[0] for text in texts]))


class Known:
    """Four images a class, domain and split. The test side has captions, factors and a domain of two classes."""

    name = "known"
    classes = CLASSES
    templates = ("{}",)
    domains = DOMAINS
    licence = "none needed"
    splits = ("train", "test")
    domain_classes = {"photo": (0, 1, 2), "sketch": (0, 1, 2), "clay": (0, 2)}

    def __init__(self, options):
        self._argument = options.argument

    def digest(self):
        return f"known-{self._argument}"

    def samples(self, split):
        found = []
        for domain in DOMAINS:
            for label, name in enumerate(CLASSES):
                if label in self.domain_classes[domain]:
                    found += [self._sample(f"{split}/{domain}/{name}/{i}", label, domain) for i in range(4)]
        return found

    def factors(self, split):
        samples = self.samples(split)
        values = [[s.label, DOMAINS.index(s.domain), int(s.id[-1])] for s in samples]
        kinds = (FactorKind.CATEGORICAL, FactorKind.CATEGORICAL, FactorKind.CONTINUOUS)
        return Factors(("label", "domain", "number"), kinds, np.array(values, dtype=np.float64))

    def _sample(self, name, label, domain):
        captions = tuple(f"{name} | {i}" for i in range(1 + label))
        if self._argument == "bare" or (self._argument == "gap" and name.endswith("photo/cat/0")):
            captions = ()
        return Sample(name, None, label, domain, captions)


class Shown:
    """What a task made: it keeps the bench's answers as facts."""

    selection = "nothing is chosen"
    warnings = ()

    def __init__(self, facts, predict, exhibits=None):
        self.facts, self.predict = facts, predict
        if exhibits:
            self.exhibits = exhibits


class Shows:
    """One cell an encoder and dataset; ``score`` counts."""

    def cells(self, axes):
        yield from (
            {"encoder": e, "dataset": d, "seed": s}
            for e in axes["encoder"]
            for d in axes["dataset"]
            for s in axes["seed"]
        )


class OnCaptions(Shows):
    """Each caption goes to the nearest image."""

    truth = Truth.OWNERS

    def fit(self, bench, axes):
        def nearest(images, texts):
            distance = np.linalg.norm(texts[:, None] - images[None], axis=2)
            return images, distance.argmin(axis=1)

        return Shown({"train": len(bench.captions("train").texts)}, nearest)

    def score(self, predictions, owners, classes):
        right = (predictions[1] == owners).astype(np.float64)
        in_order = float(np.mean(np.diff(owners) >= 0))
        details = {"owners": len(owners), "in_order": in_order}
        return Score(metric="r", value=right.mean(), outcomes=right, null={"chance": 0.0}, details=details)


class OnFactors(Shows):
    """No mean: draws are given instead of outcomes."""

    truth = Truth.FACTORS

    def fit(self, bench, axes):
        factors = bench.factors("train")
        facts = {
            "names": factors.names,
            "numbers": factors.values[:, 2].tolist(),
            "ids": bench.block("train").ids,
        }
        return Shown(facts, lambda features: features)

    def score(self, codes, factors, classes):
        value = float(factors.values[:, 1].max())
        draws = np.linspace(0, value, 40)
        return Score(metric="most", value=value, draws=draws, null={"least": 0.0}, ceiling={"all": 2.0})


class OnNothing(Shows):
    """Judges itself and leaves an exhibit."""

    truth = Truth.NOTHING

    def fit(self, bench, axes):
        exhibits = {"sheet.txt": f"seed {axes['seed']}".encode()}
        return Shown({}, lambda features: features, exhibits)

    def score(self, codes, truth, classes):
        assert truth is None
        return Score(metric="all", value=1.0, outcomes=np.ones(5), null={"none": 0.0})


class OnTarget(Shows):
    """Each domain is the test side in its turn."""

    def cells(self, axes):
        for dataset, domain in axes["domain"]:
            for point in super().cells(axes):
                if point["dataset"] == dataset:
                    yield {**point, "target": domain}

    def partition(self, roster, axes):
        target = np.array(roster.domains) == axes["target"]
        val = ~target & (np.array(roster.splits) == "test")
        return Partition(
            train=np.flatnonzero(~target & ~val)[::-1], val=np.flatnonzero(val), test=np.flatnonzero(target)
        )

    def fit(self, bench, axes):
        blocks = {side: bench.block(side) for side in bench.splits()}
        facts = {side: sorted(set(block.domains)) for side, block in blocks.items()}
        aligned = all(
            np.array_equal(Words(None).lookup(block.ids), block.features) for block in blocks.values()
        )
        facts |= {"allowed": bench.allowed, "aligned": aligned}
        return Shown(facts, lambda features: np.zeros(len(features), dtype=np.int64))

    def score(self, predictions, labels, classes):
        right = (predictions == labels).astype(np.float64)
        return Score(metric="accuracy", value=right.mean(), outcomes=right, null={"chance": 1 / classes})


class OnLoan(Shows):
    """Borrows test labels for the seeds that it says."""

    def oracle(self, axes):
        return axes["seed"] == 1

    def fit(self, bench, axes):
        labels = bench.oracle().labels
        return Shown({}, lambda features: labels)

    score = OnTarget.score


class Counts:
    """A simulation that stops half-way the first time, and then goes on."""

    def __init__(self, *, stops=False):
        self.stops = stops

    def cells(self, axes):
        for conditional in axes["conditional"] or ("wide",):
            for seed in axes["seed"]:
                yield {"geometry": axes["geometry"][0], "conditional": conditional, "seed": seed}

    def simulate(self, laboratory, axes):
        mark = laboratory.workspace / "half-way"
        resumed = mark.exists()
        laboratory.progress(1, 2, "half")
        mark.write_text("1")
        if self.stops and not resumed:
            raise RuntimeError("stopped")
        space = laboratory.geometry(3)
        z = space.sample_marginal(laboratory.key, 5)
        right = laboratory.metric("accuracy")(np.arange(4), np.arange(4))
        laboratory.progress(2, 2, "done")
        score = Score(metric="sum", value=float(z.sum()), null={"nothing": 0.0})
        facts = {"resumed": resumed, "accuracy": right, "law": str(space.conditional)}
        return Finding(score=score, n=5, facts=facts, selection="none")


@hookimpl
def lpcm_encoders():
    yield EncoderRecord(
        name="words", summary="toy", loader="truth_plugin:Words", modalities=(Modality.IMAGE, Modality.TEXT)
    )


@hookimpl
def lpcm_datasets():
    yield DatasetRecord(name="known", summary="toy", loader="truth_plugin:Known", takes="[HOW]")


@hookimpl
def lpcm_tasks():
    for what in ("Captions", "Factors", "Nothing", "Target", "Loan"):
        yield TaskRecord(name=f"on-{what.lower()}", summary="toy", loader=f"truth_plugin:On{what}")
    yield TaskRecord(
        name="counts",
        summary="toy",
        loader="truth_plugin:Counts",
        axes=(Kind.GEOMETRY,),
        params=(Param(name="stops", help="toy", default=False, type=bool),),
    )
