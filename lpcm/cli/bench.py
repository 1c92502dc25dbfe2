"""``lpcm-bench``: the loss against torch, open_clip and this machine's own peak; a table, or JSON."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict

from lpcm.cli.common import print_columns, print_json


def parser() -> argparse.ArgumentParser:
    """The flags of ``lpcm-bench``."""
    p = argparse.ArgumentParser(
        prog="lpcm-bench",
        description="Time the contrastive loss, forward and backward, against every baseline that is installed.",
    )
    p.add_argument(
        "--n", metavar="ROWS", type=_positive, nargs="+", help="batch sizes (default: 2048 4096 8192)"
    )
    p.add_argument("--d", metavar="WIDTH", type=_positive, default=512, help="feature width (default: 512)")
    p.add_argument(
        "--threads", metavar="COUNT", type=_positive, help="threads of every contender (default: torch's)"
    )
    p.add_argument(
        "--repeats", metavar="TURNS", type=_positive, default=5, help="turns of each contender (default: 5)"
    )
    p.add_argument("--ours", action="store_true", help="no baselines")
    p.add_argument("--no-compile", action="store_true", help="no torch.compile among the baselines")
    p.add_argument(
        "--losses",
        metavar="NAME",
        nargs="+",
        help='only these, e.g. "lpcm bf16" "open_clip bf16" (default: all)',
    )
    p.add_argument("--json", action="store_true", help="JSON in place of the table")
    report = p.add_argument_group(
        "report", "what is asked of the loss on a CPU, measured; ends with 1 on a miss"
    )
    report.add_argument(
        "--report", action="store_true", help="measure it, --repeats turns a row, and print a Markdown table"
    )
    report.add_argument("--rows", metavar="ROW", nargs="+", help="only these rows (default: all)")
    report.add_argument(
        "--shrink", metavar="FACTOR", type=_positive, default=1,
        help="divide every n, to try the command: the verdicts then mean nothing (default: 1)",
    )  # fmt: skip
    return p


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def run(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    arguments = parser().parse_args(argv)
    if not arguments.report and (arguments.rows or arguments.shrink != 1):
        parser().error("--rows and --shrink belong to --report")
    import torch

    from lpcm import _core
    from lpcm.loss import throughput

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    threads = torch.get_num_threads()
    if arguments.report:
        return _report(arguments)
    cpu = _core.cpu()
    machine = {
        "processor": cpu["brand"] or cpu["vendor"],
        "level": _core.active_cpu_level(),
        "threads": threads,
        "torch": torch.__version__,
        "peak": {
            precision: {
                "arithmetic": throughput.arithmetic(precision),
                "tflops": throughput.peak(precision, threads) / 1e12,
            }
            for precision in ("fp32", "bf16")
        },
    }
    found = throughput.contenders(baselines=not arguments.ours, compiled=not arguments.no_compile)
    if arguments.losses:
        known = {c.name: c for c in found}
        unknown = [name for name in arguments.losses if name not in known]
        if unknown:
            parser().error(f"{unknown[0]!r} is no loss here: expected some of {', '.join(map(repr, known))}")
        found = [known[name] for name in arguments.losses]
    rows = []
    for n in arguments.n or (2048, 4096, 8192):
        left_out = [c.name for c in found if not throughput.fits(c, n)]
        if left_out:
            print(f"lpcm-bench: n={n} does not fit in memory for {', '.join(left_out)}", file=sys.stderr)
        with contextlib.redirect_stdout(sys.stderr):  # KeOps says what it compiles
            rows += throughput.compare(
                [c for c in found if c.name not in left_out], n, arguments.d, arguments.repeats
            )
    if arguments.json:
        print_json({"machine": machine, "rows": [asdict(row) for row in rows]})
        return 0
    print(f"{machine['processor']}, level {machine['level']}, {threads} threads, torch {machine['torch']}")
    for precision, of in machine["peak"].items():
        print(f"peak of {precision} ({of['arithmetic']}): {of['tflops']:.3f} TFLOP/s")
    print()
    print_columns(
        (
            (
                str(row.n), str(row.d), f"{row.seconds:.3f}", f"{row.forward_seconds:.3f}",
                "-" if row.extra_bytes is None else f"{row.extra_bytes / 2**20:.0f}",
                f"{row.tflops:.3f}", f"{row.peak_fraction:.0%}",
                "-" if row.ratio is None else f"{row.ratio:.2f}", row.name,
            )
            for row in rows
        ),
        ("n", "d", "seconds", "forward", "extra MiB", "TFLOP/s", "of peak", "x eager", "loss"),
    )  # fmt: skip
    print(
        "\nTFLOP/s count 8 n m d; x eager is open_clip's time over this one's, same precision, same process."
    )
    return 0


def _report(arguments: argparse.Namespace) -> int:
    import torch

    from lpcm import _core
    from lpcm.loss import targets

    rows = {t.name: t for t in targets.targets()}
    for name in arguments.rows or ():
        if name not in rows:
            parser().error(f"{name!r} is no row: expected some of {', '.join(rows)}")
    cpu = _core.cpu()
    outcomes = []
    for target in (rows[name] for name in arguments.rows or rows):
        print(f"lpcm-bench: {target.name}", file=sys.stderr)  # rows take minutes
        outcomes.append(targets.run(target, turns=arguments.repeats, shrink=arguments.shrink))
    if arguments.json:
        print_json(
            [
                {
                    "row": o.target.name,
                    "n": o.n,
                    "values": o.values,
                    "verdict": o.verdict.value,
                    "needs": o.reason,
                }
                for o in outcomes
            ]
        )
    else:
        trial = (
            f" A trial at n / {arguments.shrink}: the verdicts mean nothing." if arguments.shrink != 1 else ""
        )
        print(
            f"{cpu['brand'] or cpu['vendor']}, level {_core.active_cpu_level()}, {torch.get_num_threads()} threads, "
            f"torch {torch.__version__}, d = {targets.D}; a verdict goes by the worst turn.{trial}\n"
        )
        print(targets.table(outcomes))
    return int(any(o.verdict is targets.Verdict.MISS for o in outcomes))


if __name__ == "__main__":
    sys.exit(run())
