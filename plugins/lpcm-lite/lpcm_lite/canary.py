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

from lpcm.encoders.canary import PROBES, fingerprint
from lpcm.plugin.contracts import EncoderOptions
from lpcm.store.atomic import write_bytes
from lpcm.store.files import FileDigests
from lpcm_lite.encoders.towers import Lite0, Lite0Raw


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute the fingerprints and write them to the file given, or to the packaged one.

    Returns:
        Exit code: 0.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    path = Path(arguments[0]) if arguments else Path(str(resources("lpcm_lite").joinpath("canary.json")))
    encoders = {}
    with FileDigests(None) as files:
        for encoder in (Lite0(EncoderOptions(files=files)), Lite0Raw(EncoderOptions(files=files))):
            answers = fingerprint(encoder)
            encoders[encoder.name] = {modality.value: list(values) for modality, values in answers.items()}
    write_bytes(path, (json.dumps({"probes": PROBES, "encoders": encoders}, indent=1) + "\n").encode())
    print(f"recorded {', '.join(encoders)} in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
