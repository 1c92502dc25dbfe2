"""The command of the README's first line, on a file laid out as OpenAI's ViT-B/16, from random weights."""

import json

import numpy as np
import pytest

from lpcm.cli.main import main
from lpcm.keys import Key


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A plain state dict in half precision, with the three facts that OpenAI's file carries."""
    import torch
    from open_clip import model as towers

    from lpcm.encoders.towers import private_init

    with private_init():
        clip = towers.CLIP(
            embed_dim=512,
            quick_gelu=True,
            vision_cfg={"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
            text_cfg={"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
        )
    path = tmp_path_factory.mktemp("weights") / "ViT-B-16.pt"
    facts = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    state = {name: value.half() for name, value in clip.state_dict().items() if name != "attn_mask"}
    torch.save({**state, **{name: torch.tensor(value) for name, value in facts.items()}}, path)
    return path


@pytest.fixture
def images(tmp_path):
    """Three classes of coloured noise in train and test."""
    from PIL import Image

    for split, count in (("train", 3), ("test", 2)):
        for place, name in enumerate(("red", "green", "blue")):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = Key.of(i).fold(split, name).generator().integers(0, 90, (40, 50, 3))
                pixels[..., place] += 150
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / split / name / f"{i}.png")
    return tmp_path / "images"


@pytest.mark.slow
def test_vit_b16_runs_the_few_shot_task_from_a_weights_file(checkpoint, images, tmp_path, capsys):
    study = [
        "--encoder",
        "vit-b16",
        "--task",
        "fewshot",
        "--dataset",
        f"folder:{images}",
        "--weights",
        str(checkpoint),
    ]
    few = ["--disentangler", "none", "--shots", "1", "--seeds", "1", "--offline", "--quiet", "--json"]
    where = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "run")]
    assert main([*study, *few, *where]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    by_adapter = {row["cell"]["adapter"]: row for row in summary}
    assert set(by_adapter) == {"zero-shot", "linear-probe"}
    assert by_adapter["linear-probe"]["n"] == 6
    assert by_adapter["linear-probe"]["null"]["chance"] == pytest.approx(1 / 3)
