"""The study: what is asked, as one schema for flags and for TOML files. Refuses unknown fields and wrong types.

Nothing here resolves a name; that needs the plugin host and is done by ``lpcm.study.plan``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lpcm.errors import UsageError, nearest
from lpcm.study.schema import flag, settings, text

DEFAULT_DISENTANGLERS = ("none", "pca", "whiten", "rotation", "ica", "pca-ica")
_MOST_SEEDS = 10_000  # far beyond any study; a slip of the finger must not fill the memory

ALL = "all"
"""In place of names: everything that the installed plugins offer."""


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(p, str) for p in parts):
        raise ValueError("expected names, separated by commas")
    names = tuple(dict.fromkeys(p.strip() for p in parts if p.strip()))
    if not names:
        raise ValueError("expected at least one name")
    return names


def _integers(value: Any) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    try:
        numbers = tuple(dict.fromkeys(_integer(p) for p in parts))
    except TypeError:
        raise ValueError("expected whole numbers, separated by commas") from None
    if not numbers:
        raise ValueError("expected at least one whole number")
    return numbers


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _count(value: Any) -> int:
    number = _integer(value)
    if number < 1:
        raise ValueError("expected a whole number of at least 1")
    return number


def _workers(value: Any) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueError("expected 0 or more worker processes")
    return number


def _shots(value: Any) -> tuple[int, ...]:
    shots = _integers(value)
    if min(shots) < 1:
        raise ValueError("expected shots of at least 1")
    return tuple(sorted(shots))


def _seeds(value: Any) -> tuple[int, ...]:
    if isinstance(value, str) and (span := re.fullmatch(r"\s*(\d+):(\d+)\s*", value)):
        seeds = _seed_range(int(span[1]), int(span[2]))
    elif isinstance(value, list | tuple) or (isinstance(value, str) and "," in value):
        seeds = tuple(sorted(_integers(value)))
    else:
        seeds = _seed_range(0, _count(value))
    if not seeds or min(seeds) < 0:
        raise ValueError("expected a count such as 5, a range such as 0:10, or seeds such as 1,2,3")
    return seeds


def _seed_range(first: int, last: int) -> tuple[int, ...]:
    if last - first > _MOST_SEEDS:
        raise ValueError(f"expected at most {_MOST_SEEDS} seeds")
    return tuple(range(first, last))


def _path(value: Any) -> Path:
    return Path(text(value)).expanduser()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected {' or '.join(choices)}")
        return str(value)

    return parse


def _device(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", value):
        raise ValueError("expected cpu, cuda or cuda:N")
    return value


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is asked: the product to run and how.

    Every field is a flag of ``lpcm-eval run`` (``--data-root``) and a key of a study file (``data-root``).
    """

    encoder: tuple[str, ...] = flag(
        _names, "NAMES", "encoders, separated by commas; see: lpcm-eval ls encoders", ()
    )
    task: tuple[str, ...] = flag(_names, "NAMES", "tasks; see: lpcm-eval ls tasks", ())
    dataset: tuple[str, ...] = flag(_names, "NAMES", "datasets; by default one that needs no download", ())
    disentangler: tuple[str, ...] = flag(
        _names,
        "NAMES",
        "what is fitted between encoder and adapter; 'all' for everything installed",
        DEFAULT_DISENTANGLERS,
    )
    adapter: tuple[str, ...] = flag(_names, "NAMES", "classifiers on frozen features", ("linear-probe",))
    geometry: tuple[str, ...] = flag(_names, "NAMES", "latent spaces, for tasks that use one", ())
    marginal: tuple[str, ...] = flag(
        _names, "LAWS", "how latents are distributed, for tasks that make their own, for example uniform", ()
    )
    conditional: tuple[str, ...] = flag(
        _names,
        "LAWS",
        "how a latent's partner is distributed around it, for example vmf:10 or laplace:0.1",
        (),
    )
    metric: tuple[str, ...] = flag(
        _names, "NAMES", "scores, for tasks that have several (default: the task's own)", ()
    )
    seeds: tuple[int, ...] = flag(
        _seeds, "N|A:B|LIST", "a count, a range or a list of seeds (default: 5)", (0, 1, 2, 3, 4)
    )
    shots: tuple[int, ...] | None = flag(_shots, "LIST", "labelled images a class (default: 1,2,4,8,16)")
    protocol: str | None = flag(text, "NAME", "named preset of a task, for example beyond-dags")
    fit_on: str | None = flag(
        text, "train|shots|FILE", "rows that the disentangler is fitted on (default: train)"
    )
    components: int | None = flag(
        _count, "K", "components k of every disentangler that has them (default: from the data)"
    )
    set: tuple[tuple[str, Any], ...] = flag(
        settings("ica.k=128"), "NAME.PARAM=VALUE", "change a setting; may be repeated", ()
    )

    weights: Path | None = flag(_path, "FILE", "weights of the encoder, instead of the default ones")
    device: str = flag(_device, "cpu|cuda[:N]", "where the encoder runs", "cpu")
    precision: str = flag(
        _one_of("fp32", "bf16", "fp16"), "fp32|bf16|fp16", "arithmetic of the encoder", "fp32"
    )
    batch: int | None = flag(_count, "N", "images a batch (default: found by itself)")
    workers: int | None = flag(
        _workers, "N", "processes that decode images (default: by the number of cores)"
    )
    data_root: Path | None = flag(_path, "DIR", "folder of downloaded datasets (default: STORE/data)")
    allow_download: bool = flag(_flag, "", "let datasets be downloaded", False)
    offline: bool = flag(_flag, "", "never open a connection; also LPCM_OFFLINE=1 or HF_HUB_OFFLINE=1", False)
    strict: bool = flag(_flag, "", "stop at the first corrupt image", False)

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str) -> Study:
        """Build a study from raw values, of flags or of a file.

        Args:
            values: field names (dashes or underscores) to raw values.
            source: where they come from, for the error: ``"study.toml"`` or ``"command line"``.

        Raises:
            UsageError: for an unknown field or a value that does not fit.
        """
        known = {f.name: f for f in fields(cls)}
        parsed: dict[str, Any] = {}
        for raw_name, value in values.items():
            name = raw_name.replace("-", "_")
            if name not in known:
                raise UsageError(
                    f"{source}: a study has no field {raw_name!r}",
                    nearest(name, known)
                    or f"fields: {', '.join(sorted(n.replace('_', '-') for n in known))}",
                )
            try:
                parsed[name] = known[name].metadata["parse"](value)
            except ValueError as error:
                raise UsageError(f"{source}: {raw_name} is {value!r}: {error}") from None
        return cls(**parsed)

    @classmethod
    def load(cls, path: Path) -> dict[str, Any]:
        """Raw values of a study file, to be joined with flags and parsed.

        Raises:
            UsageError: when the file is not there or is no TOML.
        """
        import tomllib

        try:
            with path.open("rb") as file:
                values: dict[str, Any] = tomllib.load(file)
        except OSError as error:
            raise UsageError(f"study file {path}: {error.strerror}") from None
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"study file {path} is no TOML: {error}") from None
        return values

    def to_toml(self) -> str:
        """The study as a file that :meth:`load` reads back; fields at their defaults are left out."""
        lines = []
        for f in fields(self):
            value = getattr(self, f.name)
            if value == f.default or f.name == "set":
                continue
            lines.append(f"{f.name.replace('_', '-')} = {_toml(value)}")
        if self.set:
            lines.append("\n[set]")
            lines += [f"{json.dumps(name)} = {_toml(value)}" for name, value in self.set]
        return "\n".join(lines) + "\n"

    def settings_of(self, name: str) -> dict[str, Any]:
        """The ``--set NAME.PARAM`` values of one thing."""
        prefix = f"{name}."
        return {key[len(prefix) :]: value for key, value in self.set if key.startswith(prefix)}

    def with_names(self, **names: Sequence[str]) -> Study:
        """A copy with some axes replaced, for example by their defaults."""
        replaced: dict[str, Any] = {axis: tuple(values) for axis, values in names.items()}
        return replace(self, **replaced)


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, Path):
        return json.dumps(str(value))
    if value is None:
        raise UsageError("a study file cannot hold an empty value")
    return json.dumps(value, ensure_ascii=False)
