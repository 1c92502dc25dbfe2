"""Writes a new plugin from the template: ``lpcm-eval plugins new NAME --kind KIND``.

Refuses names that cannot be a plugin, a distribution and a module at once, and never writes over anything:
the new folder appears whole or not at all.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lpcm.errors import LpcmError, UsageError
from lpcm.plugin.records import RECORD_TYPES, Kind

_NAME = re.compile(r"[a-z0-9]+(?:[-._][a-z0-9]+)*\Z")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_SHARED = "shared"


def render(name: str, kind: Kind, into: Path) -> Path:
    """Write a working plugin that can be installed with pip.

    Args:
        name: of the distribution, the plugin and what it offers, for example ``"my-encoder"``.
        kind: what it offers.
        into: folder in which the folder ``name`` is made; made too when it is not there.

    Returns:
        The new folder.

    Raises:
        UsageError: for a name that cannot be used, or a folder that is there already.
    """
    words = _words(name, kind)
    into = into.expanduser()
    target = into / name
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"{target} is there already", "choose another name, or another folder with --into DIR"
        )
    template = template_folder()
    try:
        into.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=into))
    except OSError as error:
        raise UsageError(
            f"cannot write into {into}: {error.strerror}", "choose a folder with --into DIR"
        ) from None
    try:
        for layer in (template / _SHARED, template / kind.value):
            _render_layer(layer, partial, words)
        partial.chmod(0o777 & ~_umask())  # mkdtemp makes folders for their owner alone
        os.rename(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def template_folder() -> Path:
    """Where the template is: in the installed package, or in the source tree of an editable install.

    Raises:
        LpcmError: when it is in neither place.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "template", here.parents[1] / "plugins" / "template"):
        if (folder / _SHARED).is_dir():
            return folder
    raise LpcmError(
        f"the plugin template is not beside {here}", "reinstall lpcm: pip install --force-reinstall lpcm"
    )


def _words(name: str, kind: Kind) -> Mapping[str, str]:
    """What the template's places stand for."""
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r} cannot name a plugin: expected lower-case letters and digits, joined by '-', '.' or '_'",
            f"for example: lpcm-eval plugins new my-{kind.value} --kind {kind.value}",
        )
    module = re.sub(r"[-.]", "_", name)
    hint = f"for example: lpcm-eval plugins new my-{kind.value} --kind {kind.value}"
    if not module.isidentifier() or keyword.iskeyword(module):
        raise UsageError(f"{name!r} gives the module {module!r}, which Python cannot import", hint)
    if module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise UsageError(f"{name!r} gives the module {module!r}, and one of that name exists already", hint)
    return {
        "name": name,
        "module": module,
        "kind": kind.value,
        "plural": kind.plural,
        "record": RECORD_TYPES[kind].__name__,
        "Class": "".join(part.capitalize() for part in module.split("_")),
    }


def _render_layer(layer: Path, target: Path, words: Mapping[str, str]) -> None:
    for source in sorted(layer.rglob("*")):
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        place = target / _filled(str(source.relative_to(layer)), words, source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_filled(source.read_text(encoding="utf-8"), words, source), encoding="utf-8")


def _filled(text: str, words: Mapping[str, str], source: Path) -> str:
    def word(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise LpcmError(f"{source}: the template has no word for {match[0]}")
        return words[match[1]]

    return _PLACE.sub(word, text)


def _umask() -> int:
    # The only way to read it is to set it; this command has one thread.
    mask = os.umask(0)
    os.umask(mask)
    return mask
