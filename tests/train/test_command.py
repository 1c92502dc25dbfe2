"""``lpcm-train``: flags and files, errors, and that what it leaves is an encoder."""

import json
from pathlib import Path

import numpy as np
import pytest

from lpcm.cli.main import main as evaluate
from lpcm.cli.train import main
from lpcm.train.recipe import Recipe
from tests.train.conftest import PLUGIN, TINY_PLUGIN

QUICK = ("--epochs", "8", "--lr", "0.01", "--hidden", "33", "--dim", "9", "--batch", "30", "--patience", "0")


@pytest.fixture
def command(tmp_path, stored, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPCM_STORE", str(tmp_path / "store"))

    def run(*arguments, dataset="planted", program=main):
        given = ["--encoder", f"features:{stored}", "--dataset", dataset] if program is main else []
        code = program([*given, *map(str, arguments), "--plugin", str(PLUGIN)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_trained_pair_is_an_encoder(command):
    code, out, err = command(*QUICK, "--epochs", "20", "--out", "pair")
    assert code == 0, err
    assert "epoch 20 of 20: loss" in err
    assert "temperature" in err
    assert "R@1" in err
    assert "score it: lpcm-eval --encoder run:pair" in out
    code, out, err = command(
        *("--encoder", "run:pair", "--task", "zeroshot", "--dataset", "planted", "--disentangler", "none"),
        *("--seeds", 1, "--json", "--quiet"),
        program=evaluate,
    )
    # Its towers know the captions only, not the prompts of classes: the row says so, and the encoder was found.
    assert "has no features of" in (out + err)
    assert "pair" in (out + err)


def test_typing_it_again_answers_at_once_and_gives_the_same_file(command):
    command(*QUICK, "--out", "pair")
    before = Path("pair/pair.safetensors").read_bytes()
    code, _, err = command(*QUICK, "--out", "pair")
    assert code == 0
    assert "epoch 1 of" not in err
    assert Path("pair/pair.safetensors").read_bytes() == before


def test_a_file_is_the_same_as_its_flags(command, stored):
    command(*QUICK, "--out", "by-flags", "--quiet")
    told = json.loads(Path("by-flags/recipe.json").read_text())["recipe"]
    lines = [
        f"{name.replace('_', '-')} = {json.dumps(value)}" for name, value in told.items() if name != "set"
    ]
    Path("recipe.toml").write_text("\n".join(lines))
    code = main(["recipe.toml", "--out", "by-file", "--quiet", "--plugin", str(PLUGIN)])
    assert code == 0
    for name in ("recipe.json", "pair.safetensors"):
        assert Path("by-file", name).read_bytes() == Path("by-flags", name).read_bytes()


def test_without_a_batch_a_small_set_is_one_batch(command):
    code, out, err = command(*QUICK[:-4], "--json", "--quiet", "--patience", 0)
    assert code == 0, err
    assert json.loads(Path(json.loads(out)["folder"], "recipe.json").read_text())["recipe"]["batch"] == "all"


def test_a_recipe_survives_being_told():
    recipe = Recipe.parse(
        {"encoder": "a", "dataset": "b,c", "batch": "all", "set": ["box.extent=fixed"]}, "here"
    )
    assert Recipe.parse(recipe.told(), "there") == recipe


def test_a_box_is_trained_with_its_distance(command):
    code, out, err = command(*QUICK, "--geometry", "box", "--set", "box.extent=fixed", "--json", "--quiet")
    assert code == 0, err
    answer = json.loads(out)
    told = json.loads(Path(answer["folder"], "recipe.json").read_text())
    assert told["geometry"] == {"name": "box", "settings": {"extent": "fixed"}}
    assert len(answer["epochs"]) == 8


def test_the_curve_of_batch_sizes_is_a_table(command):
    code, out, _ = command(*QUICK, "--compare-batches", "15,all", "--quiet")
    assert code == 0
    rows = [line.split("|")[1:3] for line in out.splitlines() if line.startswith("| ")]
    # 90 pairs in batches of 15 for 8 epochs are 48 steps, in one batch 8
    assert [[cell.strip() for cell in row] for row in rows] == [["batch", "steps"], ["15", "48"], ["90", "8"]]


@pytest.mark.parametrize(
    ("arguments", "dataset", "message"),
    [
        (["--batch", "1000"], "planted", "batch is 1000 and there are 90 pairs"),
        ([], "planted:silent", "1 of 90 images of planted:silent train have no caption, first 's3'"),
        (["--lr", "-1"], "planted", "lr is '-1': expected a number above 0"),
        (["--head", "mpl"], "planted", "did you mean 'mlp'?"),
        (["--geometry", "spere"], "planted", "no geometry is called 'spere'"),
        (["--set", "box.extent=fixed"], "planted", "expected a setting of the geometry, 'sphere'"),
        (["--set", "sphere.size=2"], "planted", "geometry 'sphere' has no setting 'size'"),
        (["--text-encoder", "timm:resnet18"], "planted", "reads no text"),
        (["--compare-batches", "0"], "planted", "--compare-batches has '0'"),
        (["--epochz", "3"], "planted", "unrecognized arguments"),
    ],
)
def test_bad_input_gets_a_clear_error(command, arguments, dataset, message):
    code, _, err = command(*arguments, dataset=dataset)
    assert code in (1, 2)
    assert message in err
    assert "Traceback" not in err


def test_features_that_are_not_finite_are_said_to_be(command, stored):
    with np.load(stored) as file:
        arrays = dict(file)
    arrays["features"][7, 3] = np.nan
    np.savez(stored, **arrays)
    code, _, err = command(*QUICK)
    assert code == 1
    assert "NaN" in err or "not finite" in err


def test_towers_that_changed_are_refused(command, stored):
    command(*QUICK, "--out", "pair", "--quiet")
    with np.load(stored) as file:
        arrays = dict(file)
    np.savez(stored, **{**arrays, "features": arrays["features"] * 2})
    _, out, err = command(
        *("--encoder", "run:pair", "--task", "fewshot", "--dataset", "planted", "--quiet"), program=evaluate
    )
    assert "was trained on another version of" in (out + err)


def test_towers_of_a_plugin_file_are_found_again(command, stored):
    with np.load(stored) as file:
        arrays = dict(file)
    prompts = [form.format(name) for form in ("{}", "a photo of a {}.") for name in ("low", "high")]
    arrays["texts"] = np.append(arrays["texts"], prompts)
    arrays["text_features"] = np.concatenate([arrays["text_features"], arrays["text_features"][:4]])
    np.savez(stored, **arrays)
    code, _, err = command(*QUICK, "--encoder", f"planted-features:{stored}", "--out", "pair", "--quiet")
    assert code == 0, err
    code, out, err = command(
        *("--encoder", "run:pair", "--task", "zeroshot", "--dataset", "planted", "--disentangler", "none"),
        *("--seeds", 1, "--quiet", "--json"),
        program=evaluate,
    )
    assert code == 0, out + err


def test_towers_that_learn_are_fine_tuned_and_scored(command, tiny, shapes):
    code, out, err = command(
        *(
            "--encoder",
            f"tiny-clip:{tiny}",
            "--train-towers",
            "image,text",
            "--head",
            "none",
            "--text-head",
            "none",
        ),
        *("--epochs", 2, "--chunk", 6, "--tower-lr", 0.003, "--out", "tuned", "--plugin", TINY_PLUGIN),
        dataset=f"csv:{shapes}",
    )
    assert code == 0, err
    assert "epoch 2: 28 of 28 images" in err
    code, out, err = command(
        *(
            "--encoder",
            "run:tuned",
            "--task",
            "zeroshot",
            "--dataset",
            f"csv:{shapes}",
            "--disentangler",
            "none",
        ),
        *("--seeds", 1, "--quiet", "--json", "--plugin", TINY_PLUGIN),
        program=evaluate,
    )
    assert code == 0, out + err


def test_a_pair_that_is_not_there_is_named(command):
    code, out, err = command(
        *("--encoder", "run:nowhere", "--task", "fewshot", "--dataset", "planted"), program=evaluate
    )
    assert code == 3
    assert "nowhere" in (out + err)
    assert "lpcm-train" in (out + err)
