"""``python -m lpcm.cli`` is ``lpcm-eval``."""

from lpcm.cli.main import run

run()
