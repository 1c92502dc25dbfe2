from __future__ import annotations

import logging
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from lpcm.encoders import open_clip as encoders
from lpcm.encoders.architectures import ALIASES, architectures, of_alias, of_pair
from lpcm.encoders.open_clip import OpenClipEncoder, pair
from lpcm.encoders.records import RECORDS
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.contracts import Encoder, Precision

TEXTS = ["a photo of a cat", "a dog", "three words more"]


@pytest.fixture
def pixels():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny(tiny_clip, options):
    def encoder(**given):
        return pair(options(**{"argument": "lpcm-tiny", "weights": tiny_clip.checkpoint, **given}))

    return encoder


def shapes_only(arch: str, path: Path) -> Path:
    """A checkpoint with the true shapes of an architecture, and one number a tensor: small on disk."""
    with torch.device("meta"):
        model = encoders._built(arch, device="meta")
    torch.save(
        {name: torch.zeros(()).expand(value.shape) for name, value in model.state_dict().items()}, path
    )
    return path


def in_hub(cache: Path, repo: str, name: str, data: bytes = b"weights") -> Path:
    """A file laid out as the hub's client caches it."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    snapshot = folder / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / name).write_bytes(data)
    return snapshot / name


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALIASES)
def test_an_alias_says_what_open_clip_says(name):
    alias, plan = ALIASES[name], of_alias(name)
    published = open_clip.pretrained.get_pretrained_cfg(alias.arch, alias.tag)
    assert published["hf_hub"] == alias.repo + "/"
    assert bool(plan.config.get("quick_gelu")) == bool(published.get("quick_gelu"))
    assert plan.preprocess == replace(of_pair(f"{alias.arch}/{alias.tag}").preprocess)
    assert plan.preprocess.mean == tuple(published["mean"])
    assert plan.preprocess.std == tuple(published["std"])
    assert plan.preprocess.resize.value == published["resize_mode"]
    assert plan.hub.names == (open_clip.constants.HF_SAFE_WEIGHTS_NAME, open_clip.constants.HF_WEIGHTS_NAME)
    (record,) = [record for record in RECORDS if record.name == name]
    assert record.dim == plan.dim


@pytest.mark.parametrize("name", ALIASES)
def test_a_record_leads_to_its_encoder(name, options):
    (record,) = [record for record in RECORDS if record.name == name]
    encoder = resolve_name(record.loader)(options())
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.dim) == (name, record.dim)
    assert encoder.modalities == frozenset(record.modalities)


@pytest.mark.parametrize(
    ("argument", "type_this"),
    [
        ("ViT-B-16/openai", "vit-b16, or open-clip:ViT-B-16-quickgelu/openai"),
        ("ViT-B/16/openai", "vit-b16"),
        ("RN50/yfcc15m", "open-clip:RN50-quickgelu/yfcc15m"),
        ("ViT-B-16-quickgelu/laion2b_s34b_b88k", "open-clip:ViT-B-16/laion2b_s34b_b88k"),
    ],
)
def test_an_activation_that_was_not_trained_is_refused_with_the_right_name(argument, type_this, options):
    with pytest.raises(UsageError) as caught:
        pair(options(argument=argument))
    assert type_this in caught.value.hint


def refused(name: str) -> UsageError | None:
    try:
        of_pair(name)
    except UsageError as error:
        return error
    return None


def test_every_pair_that_open_clip_publishes_is_accepted_or_has_a_better_name():
    better = [error.hint for arch, tag in open_clip.list_pretrained() if (error := refused(f"{arch}/{tag}"))]
    assert len(better) > 10
    for hint in better:
        assert of_pair(hint.rpartition("open-clip:")[2]).hub is not None


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("ViT-B-61/openai", "did you mean 'ViT-B-16'"),
        ("ViT-B-16/laion2b_s34b", "did you mean 'laion2b_s34b_b88k'"),
        ("", "Type for example"),
        ("ViT-B-16", "--weights FILE"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(argument, hint, options):
    with pytest.raises(UsageError) as caught:
        pair(options(argument=argument))
    assert hint in caught.value.hint


def test_architectures_are_those_of_open_clip():
    assert set(architectures()) <= set(open_clip.list_models())
    assert "ViT-B-16-quickgelu" in architectures()


# --- weights -------------------------------------------------------------------------------------


def test_openais_layout_gives_open_clips_features(tiny, tiny_clip, pixels):
    encoder = tiny()
    theirs = open_clip.create_model("lpcm-tiny", pretrained=None, load_weights=False)
    theirs.load_state_dict(tiny_clip.state)
    theirs.eval()
    with torch.inference_mode():
        images = theirs.encode_image(pixels)
        texts = theirs.encode_text(open_clip.get_tokenizer("lpcm-tiny")(TEXTS))
    # the same operations; where a tensor lies in memory may change the order of fp32 sums
    torch.testing.assert_close(encoder.encode_images(pixels), images, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), texts, rtol=1e-5, atol=1e-5)
    assert encoder.encode_images(pixels).shape == (3, encoder.dim)


@pytest.mark.parametrize("layout", ["safetensors", "state_dict", "module", "half", "two towers"])
def test_other_layouts_hold_the_same_weights(tiny, tiny_clip, pixels, tmp_path, layout):
    state = tiny_clip.state
    path = tmp_path / "other.pt"
    if layout == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(state, path)
    elif layout == "state_dict":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif layout == "module":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    elif layout == "half":
        torch.save({name: value.half() for name, value in state.items()}, path)
    else:
        torch.save({**state, "logit_scale": state["logit_scale"].reshape(1)}, path)
    found = tiny(weights=path).encode_images(pixels)
    # half: weights of 11 significant bits; the others are the same numbers, summed in some order
    tolerance = 2e-2 if layout == "half" else 1e-5
    torch.testing.assert_close(found, tiny().encode_images(pixels), rtol=tolerance, atol=tolerance)


def test_another_architectures_file_names_shapes_and_the_alias_that_fits(options, tmp_path):
    path = shapes_only("ViT-B-32-quickgelu", tmp_path / "b32.pt")
    with pytest.raises(
        DataError, match=r"visual\.positional_embedding is \(50, 768\), expected \(197, 768\)"
    ) as caught:
        encoders.vit_b16(options(weights=path)).encode_texts(TEXTS)
    assert "It fits vit-b32: --encoder vit-b32" in caught.value.hint


def test_a_file_that_fits_no_alias_says_so(tiny_clip, options):
    with pytest.raises(DataError, match="does not fit rn50") as caught:
        encoders.rn50(options(weights=tiny_clip.checkpoint)).encode_texts(TEXTS)
    assert "fits none of" in caught.value.hint


def test_a_missing_tensor_is_named(tiny, tiny_clip, tmp_path):
    path = tmp_path / "less.pt"
    torch.save({name: value for name, value in tiny_clip.state.items() if name != "visual.proj"}, path)
    with pytest.raises(DataError, match=r"visual\.proj \(32, 24\) is not in the file"):
        tiny(weights=path).encode_texts(TEXTS)


def test_transformers_layout_is_recognised(tiny, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"vision_model.embeddings.class_embedding": torch.zeros(32)}, path)
    with pytest.raises(DataError) as caught:
        tiny(weights=path).encode_texts(TEXTS)
    assert "transformers" in caught.value.hint


def test_a_torchscript_archive_is_refused_with_how_to_convert_it(tiny, tmp_path):
    path = tmp_path / "ViT-B-16.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ViT-B-16/constants.pkl", b"")
        archive.writestr("ViT-B-16/code/__torch__.py", b"")
    with pytest.raises(UsageError, match="TorchScript") as caught:
        tiny(weights=path).encode_texts(TEXTS)
    assert "torch.jit.load" in caught.value.hint


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code in a weights file was run')",))


def test_code_in_a_weights_file_is_not_run(tiny, tmp_path):
    path = tmp_path / "trap.pt"
    torch.save({"visual.proj": Trap()}, path)
    with pytest.raises(DataError, match="weights_only"):
        tiny(weights=path).encode_texts(TEXTS)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("broken.safetensors", b"\x00" * 9, DataError),
        ("broken.pt", b"PK\x03\x04 not a checkpoint", DataError),
        ("weights.h5", b"", UsageError),
    ],
)
def test_a_damaged_or_foreign_file_is_named(tiny, tmp_path, name, data, error):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=name):
        tiny(weights=tmp_path / name).encode_texts(TEXTS)


def test_a_list_in_a_weights_file_is_refused(tiny, tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="expected a state dict"):
        tiny(weights=tmp_path / "list.pt").encode_texts(TEXTS)


def test_a_weights_file_that_is_not_there_is_missing(tiny, tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        tiny(weights=tmp_path / "none.pt").digest()


def test_without_weights_and_network_three_ways_out_are_named(options):
    with pytest.raises(MissingError, match="offline") as caught:
        encoders.vit_b16(options()).encode_texts(TEXTS)
    assert caught.value.exit_code == 3
    for way in ("hf download timm/vit_base_patch16_clip_224.openai", "--weights FILE", "features:FILE"):
        assert way in caught.value.hint


def test_the_hubs_own_switch_means_offline(options, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingError, match="offline"):
        encoders.vit_b16(options(offline=False)).digest()


def test_without_a_network_there_is_no_long_wait(options, monkeypatch):
    def unresolved(*arguments):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unresolved)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(MissingError, match="cannot be reached"):
        encoders.vit_b16(options(offline=False)).digest()


def test_weights_are_found_in_the_hubs_cache(options, hub_cache):
    path = in_hub(hub_cache, ALIASES["vit-b16"].repo, "open_clip_model.safetensors")
    assert encoders.vit_b16(options())._weights == path


def test_the_older_file_name_is_found_too(options, hub_cache):
    path = in_hub(hub_cache, ALIASES["rn50"].repo, "open_clip_pytorch_model.bin")
    assert encoders.rn50(options())._weights == path


# --- digests -------------------------------------------------------------------------------------


def test_a_digest_needs_neither_torch_nor_open_clip(tmp_path):
    hub = tmp_path / "home" / "hub"
    in_hub(hub, ALIASES["vit-b32"].repo, "open_clip_model.safetensors")
    code = """
import sys
from lpcm.encoders.open_clip import vit_b32
from lpcm.plugin.contracts import EncoderOptions
from lpcm.store.files import FileDigests
encoder = vit_b32(EncoderOptions(files=FileDigests(None)))
print(len(encoder.digest()), encoder.dim, encoder.preprocess.size, encoder.name)
assert not {"torch", "open_clip"} & set(sys.modules), "something heavy was imported"
"""
    environment = {"HF_HOME": str(tmp_path / "home"), "PATH": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "64 512 224 vit-b32\n", done.stderr


def test_a_digest_moves_with_weights_architecture_preprocessing_and_precision(
    tiny, tiny_clip, options, tmp_path
):
    other = tmp_path / "other.pt"
    other.write_bytes(tiny_clip.checkpoint.read_bytes() + b"\0")
    plan = of_pair("lpcm-tiny")
    blurred = replace(plan, preprocess=replace(plan.preprocess, interpolation="bilinear"))
    digests = [
        tiny().digest(),
        tiny(weights=other).digest(),
        tiny(argument="lpcm-tiny-quickgelu").digest(),
        tiny(precision=Precision.BF16).digest(),
        OpenClipEncoder(blurred, options(weights=tiny_clip.checkpoint)).digest(),
    ]
    assert len(set(digests)) == len(digests)
    assert tiny().digest() == digests[0]


def test_a_digest_moves_with_the_library(tiny, monkeypatch):
    before = tiny().digest()
    monkeypatch.setattr(encoders, "version", lambda name: "0.0.1")
    assert tiny().digest() != before


# --- behaviour -----------------------------------------------------------------------------------


def test_quickgelu_and_gelu_differ(tiny, pixels):
    apart = tiny().encode_images(pixels) - tiny(argument="lpcm-tiny-quickgelu").encode_images(pixels)
    assert apart.abs().max() > 1e-3


@pytest.mark.parametrize(("precision", "tolerance"), [(Precision.BF16, 0.1), (Precision.FP16, 0.02)])
def test_lower_precision_is_close_and_handed_on_as_fp32(tiny, pixels, precision, tolerance):
    # relative to the length of a row: 8 and 11 significant bits through two blocks with large random weights
    exact, found = tiny().encode_images(pixels), tiny(precision=precision).encode_images(pixels)
    assert found.dtype == torch.float32
    assert 0 < ((found - exact).norm(dim=1) / exact.norm(dim=1)).max() < tolerance
    texts = tiny(precision=precision).encode_texts(TEXTS)
    assert texts.dtype == torch.float32


def test_a_row_does_not_depend_on_its_batch(tiny, pixels):
    encoder = tiny()
    alone = torch.cat([encoder.encode_images(image[None]) for image in pixels])
    torch.testing.assert_close(
        encoder.encode_images(pixels), alone, rtol=1e-4, atol=1e-5
    )  # order of fp32 sums


def test_loading_moves_no_global_generator_and_leaves_no_log_handler(tiny, pixels):
    before, handlers = torch.get_rng_state(), list(logging.getLogger().handlers)
    tiny().encode_images(pixels)
    assert torch.equal(torch.get_rng_state(), before)
    assert logging.getLogger().handlers == handlers


def test_a_tokenizer_that_is_not_here_is_missing(tiny_clip, options):
    encoder = pair(options(argument="lpcm-tiny-hf", weights=tiny_clip.checkpoint))
    with pytest.raises(MissingError, match="nobody/nothing") as caught:
        encoder.encode_texts(TEXTS)
    assert "hf download nobody/nothing" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(tiny):
    with pytest.raises(UsageError, match="sees no GPU"):
        tiny(device="cuda").encode_texts(TEXTS)


@pytest.mark.slow
def test_the_real_vit_b16_runs_from_a_file_laid_out_as_openais(options, tmp_path):
    with torch.device("meta"):
        model = encoders._built("ViT-B-16-quickgelu", device="meta")
    key = torch.Generator().manual_seed(0)
    state = {
        name: (torch.randn(value.shape, generator=key) * 0.02).half()
        for name, value in model.state_dict().items()
    }
    facts = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    torch.save(
        {**state, **{name: torch.tensor(value) for name, value in facts.items()}}, tmp_path / "ViT-B-16.pt"
    )
    encoder = encoders.vit_b16(options(weights=tmp_path / "ViT-B-16.pt"))
    images = encoder.encode_images(torch.zeros(2, 3, 224, 224))
    assert images.shape == (2, 512)
    assert encoder.encode_texts(TEXTS).shape == (3, 512)
    assert images.isfinite().all()
    assert encoder._model.visual.transformer.resblocks[0].mlp.gelu.__class__.__name__ == "QuickGELU"
