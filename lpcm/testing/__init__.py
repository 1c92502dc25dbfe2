"""The conformance kit for plugin authors: checks, decorators, fixtures, small data.

Names are resolved lazily: the kit is a pytest plugin, and must cost nothing in test runs that do not use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401  (names for type checkers; at run time __getattr__ resolves them)
if TYPE_CHECKING:
    from lpcm.testing.conformance import catalogue, check_plugin, checks_for, checks_of
    from lpcm.testing.data import make_class_rows, make_pairs, make_tiny_images
    from lpcm.testing.decorators import (
        check_adapter,
        check_dataset,
        check_disentangler,
        check_encoder,
        check_geometry,
        check_metric,
        check_simulation,
        check_task,
    )
    from lpcm.testing.report import Check, Outcome, Report
    from lpcm.testing.subject import Subject, run_check, run_checks

_HOME = {
    "lpcm.testing.conformance": "catalogue check_plugin checks_for checks_of",
    "lpcm.testing.data": "make_class_rows make_pairs make_tiny_images",
    "lpcm.testing.decorators": (
        "check_adapter check_dataset check_disentangler check_encoder check_geometry check_metric check_simulation "
        "check_task"
    ),
    "lpcm.testing.report": "Check Outcome Report",
    "lpcm.testing.subject": "Subject run_check run_checks",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'lpcm.testing' has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)
