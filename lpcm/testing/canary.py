"""``python -m lpcm.testing.canary ENCODER`` prints an encoder's answers to the probes: its canary.

Refuses to write anywhere: the author decides when an encoder is as it should be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from lpcm.errors import LpcmError, UsageError
from lpcm.plugin.contracts import EncoderOptions
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.store.files import FileDigests


def main(arguments: Sequence[str]) -> int:
    """Print the canary of one encoder as JSON: for each modality, its numbers.

    Example of use in a plugin: keep the output as ``canary.json`` beside the encoder.
    """
    try:
        if len(arguments) != 1:
            raise UsageError("expected the name of one encoder", "python -m lpcm.testing.canary my-encoder")
        host = PluginHost.discover()
        found = host.find(Kind.ENCODER, arguments[0])
        with FileDigests(None) as files:
            encoder = host.load(found)(EncoderOptions(argument=found.argument, offline=True, files=files))
            from lpcm.encoders.canary import fingerprint

            values = fingerprint(encoder)
    except LpcmError as error:
        print(f"lpcm.testing.canary: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({modality.value: list(numbers) for modality, numbers in values.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
