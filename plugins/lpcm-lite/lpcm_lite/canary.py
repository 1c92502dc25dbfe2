"""Record the canaries of this distribution's encoders: ``python -m lpcm_lite.canary``.

Run it only when the encoders are meant to change; it overwrites the file that guards them.
Refuses precisions other than fp32 on a processor, which is what the tolerance is stated for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from lpcm.encoders.canary import PROBES, fingerprint
from lpcm.plugin.contracts import Encoder, EncoderOptions
from lpcm.store.atomic import write_bytes
from lpcm.store.files import FileDigests
from lpcm_lite.encoders.heads import Lite0Heads, Lite0Mix
from lpcm_lite.encoders.towers import Lite0, Lite0Raw


def record(encoders: Sequence[Encoder]) -> dict[str, Any]:
    """Ask each encoder the probes; the answers are what the packaged file holds, as JSON values."""
    answers = {encoder.name: fingerprint(encoder) for encoder in encoders}
    return {
        "probes": PROBES,
        "encoders": {
            name: {modality.value: list(values) for modality, values in found.items()}
            for name, found in answers.items()
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the answers to the file given, or to the packaged one.

    Returns:
        Exit code: 0.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    path = Path(arguments[0]) if arguments else Path(str(resources("lpcm_lite").joinpath("canary.json")))
    with FileDigests(None) as files:
        options = EncoderOptions(files=files)
        found = record([make(options) for make in (Lite0, Lite0Raw, Lite0Heads, Lite0Mix)])
    write_bytes(path, (json.dumps(found, indent=1) + "\n").encode())
    print(f"recorded {', '.join(found['encoders'])} in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
