"""A world of four domains whose classes are shifted, and a bench that records what the domain task asks of it."""

from importlib import import_module

import numpy as np

from lpcm.adapters.records import RECORDS as ADAPTERS
from lpcm.disentanglers.records import RECORDS as DISENTANGLERS
from lpcm.errors import SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block, TextPrompts
from lpcm.plugin.truth import Roster
from lpcm.tasks.domains import Domains

CLASSES = ("ant", "bee", "cat", "dog", "eel")
DOMAINS = ("photo", "sketch", "clip art", "toy")
SPLITS = ("train", "val", "test")
D, PER_CLASS = 17, 11
CENTRES = 1.6 * Key.of(0).fold("centres").generator().standard_normal((len(CLASSES), D))


def loaded(records, name):
    (record,) = [record for record in records if record.name == name]
    module, _, attribute = record.loader.partition(":")
    return getattr(import_module(module), attribute)


def make_world(domains=DOMAINS, per_class=PER_CLASS):
    """A block of every sample: each domain moves all classes by a vector of its own."""
    features, labels, ids, of = [], [], [], []
    for domain in domains:
        generator = Key.of(0).fold("domain", domain).generator()
        shift = generator.standard_normal(D)
        for label in range(len(CLASSES)):
            for i in range(per_class):
                features.append(CENTRES[label] + shift + generator.laplace(size=D))
                labels.append(label)
                ids.append(f"{domain}/{CLASSES[label]}/{i}")
                of.append(domain)
    return Block(np.array(features, np.float32), np.array(labels), tuple(ids), tuple(of))


WORLD = make_world()


def roster_of(world, splits=SPLITS):
    """Splits in turn."""
    return Roster(world.ids, world.domains, tuple(splits[i % len(splits)] for i in range(len(world))))


class DomainBench:
    """Gives what a bench gives for one target.

    ``asked`` holds each (rows, key) that a disentangler was fitted on, ``settings`` those of each adapter, and
    ``lent`` how often test labels were asked for.
    """

    def __init__(
        self,
        task,
        axes,
        *,
        world=WORLD,
        disentangler="none",
        adapter="linear-probe",
        allowed=None,
        text=False,
        seed=0,
    ):
        partition = task.partition(roster_of(world), {"dataset": "world", **axes})
        self.key = Key.of(seed).fold("cell", "digest")
        self.classes = CLASSES
        self.allowed = allowed
        self.train, self.test = world.take(partition.train), world.take(partition.test)
        self.asked, self.settings, self.lent = [], [], 0
        self._oracle = task.oracle(axes)
        self._disentangler, self._adapter, self._text = disentangler, adapter, text

    def splits(self):
        return ("train",)

    def block(self, split):
        if split != "train":
            raise SealError(f"a task asked for the {split} block")
        return self.train

    def oracle(self):
        if not self._oracle:
            raise SealError("a task asked for test labels while fitting")
        self.lent += 1
        return self.test

    def prompts(self, templates=None):
        return TextPrompts(CENTRES.astype(np.float32), CLASSES) if self._text else None

    def disentangler(self, rows, key, **settings):
        self.asked.append((rows.tobytes(), key))
        made = loaded(DISENTANGLERS, self._disentangler)
        return made(random_state=key.random_state(), **settings).fit(rows)

    def adapter(self, **settings):
        self.settings.append(settings)
        return loaded(ADAPTERS, self._adapter)(**settings)


def run(task=None, *, target="photo", rule="training-domain", shots="all", **how):
    """Fit one cell and give its bench, what was fitted, and its score on the target."""
    task = task or Domains()
    bench = DomainBench(task, {"target": target, "rule": rule, "shots": shots}, **how)
    fitted = task.fit(bench, {"target": target, "rule": rule, "shots": shots})
    test = bench.test
    return bench, fitted, fitted.score(fitted.predict(test.features), test.labels, len(CLASSES))
