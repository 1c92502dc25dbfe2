"""A one-file plugin for the tests of several processes: pieces that die, that wait for ever, and that count."""

import os
import signal
import warnings
from pathlib import Path

from toy_plugin import ToyEncoder

from lpcm.plugin import DisentanglerRecord, EncoderRecord, Modality, hookimpl


class Counted(ToyEncoder):
    """Writes down how many images each call encodes, whichever process it is in."""

    name = "counted"

    def encode_images(self, images):
        with Path(os.environ["TOY_LOG"]).open("a") as log:
            log.write(f"{len(images)}\n")
        return super().encode_images(images)


class Dies:
    """Its process is killed while it fits, as by the kernel when memory runs out."""

    def __init__(self, *, random_state):
        pass

    def fit(self, X, y=None):
        os.kill(os.getpid(), signal.SIGKILL)


class DiesOnce(Dies):
    """The first of all processes to fit is killed, the next one only warns."""

    def fit(self, X, y=None):
        try:
            Path(os.environ["TOY_MARK"]).touch(exist_ok=False)
        except FileExistsError:
            warnings.warn("told once by a worker", UserWarning, stacklevel=1)
            self.components_ = X[:1]
            return self
        return super().fit(X, y)

    def transform(self, X):
        return X

    def report(self):
        return {}


class Waits(Dies):
    """Says which process it is in and then waits for a signal."""

    def fit(self, X, y=None):
        with Path(os.environ["TOY_PIPE"]).open("w") as pipe:
            pipe.write(f"{os.getpid()}\n")
            pipe.flush()
            while True:  # the pipe stays open for as long as the process lives
                signal.pause()


@hookimpl
def lpcm_encoders():
    both = (Modality.IMAGE, Modality.TEXT)
    yield EncoderRecord(name="counted", summary="toy", loader="dying_plugin:Counted", modalities=both)


@hookimpl
def lpcm_disentanglers():
    for name in ("Dies", "DiesOnce", "Waits"):
        yield DisentanglerRecord(name=name.lower(), summary="toy", loader=f"dying_plugin:{name}")
