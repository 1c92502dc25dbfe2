"""Types of the compiled core."""

from typing import Any

def cpu() -> dict[str, Any]: ...
def active_cpu_level() -> str: ...
def gpus() -> dict[str, Any]: ...
def build() -> dict[str, Any]: ...
def contrastive_forward(
    x: tuple[int, str, int, int, int, int],
    y: tuple[int, str, int, int, int, int] | None,
    scale: tuple[int, str],
    bias: tuple[int, str] | None,
    labels: int,
    offset: int,
    options: dict[str, Any],
    statistics: list[int],
) -> None: ...
def contrastive_backward(
    x: tuple[int, str, int, int, int, int],
    y: tuple[int, str, int, int, int, int] | None,
    scale: tuple[int, str],
    bias: tuple[int, str] | None,
    labels: int,
    offset: int,
    options: dict[str, Any],
    statistics: list[int],
    weights: list[int],
    x_gradient: tuple[int, str],
    y_gradient: tuple[int, str],
    scale_gradient: int,
    bias_gradient: int,
) -> None: ...
def contrastive_arithmetic(options: dict[str, Any]) -> str: ...
def contrastive_peak(options: dict[str, Any], seconds: float) -> float: ...
