"""Installs plugins as a user would: with pip, not editable, without an index, into folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(
    command: Sequence[str | Path], *, path: Sequence[Path] = (), cwd: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment without any LPCM variable, with folders put before installed packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LPCM_")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1", **extra}
    return subprocess.run(
        [str(part) for part in command],
        env=environment,
        cwd=cwd or Path(sys.executable).parent,  # not the source tree, which would be imported
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lpcm_eval(
    *arguments: str | Path, path: Sequence[Path] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    script = Path(sys.executable).parent / "lpcm-eval"
    return run([script, *arguments], path=path, **extra)


def pip(*arguments: str | Path) -> None:
    """Run pip without an index: nothing can come from a network."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps")
    done = run([sys.executable, "-m", "pip", arguments[0], *quiet, *arguments[1:]])
    assert done.returncode == 0, done.stdout + done.stderr


def install_each(sources: Sequence[Path], work: Path) -> dict[str, Path]:
    """Build a wheel of each source folder and install it into a folder of its own; returns those by source name."""
    copies = [Path(shutil.copytree(source, work / "sources" / source.name)) for source in sources]
    targets = {source.name: work / "installed" / source.name for source in sources}
    # One pip for all wheels: most of its time is starting. Sources were copied: a build leaves files in them.
    pip("wheel", "--no-build-isolation", "--no-index", "--wheel-dir", work / "wheels", *copies)

    def install(source: Path) -> None:
        (wheel,) = (work / "wheels").glob(f"*{source.name.replace('-', '_')}-0*.whl")
        pip("install", "--no-index", "--target", targets[source.name], wheel)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(install, sources))
    return targets


def install_all(sources: Sequence[Path], work: Path) -> Path:
    """Install source folders together into one folder, as in one environment; returns it."""
    copies = [Path(shutil.copytree(source, work / "sources" / source.name)) for source in sources]
    pip("install", "--no-build-isolation", "--no-index", "--target", work / "site", *copies)
    return work / "site"
