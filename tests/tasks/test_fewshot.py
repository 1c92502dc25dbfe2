"""The few-shot task: which cells, which rows, what it says of them, and that test labels stay sealed."""

import json

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lpcm.errors import DataError, MissingError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block
from lpcm.tasks.fewshot import FewShot
from lpcm.tasks.protocols import BEYOND_DAGS, PROTOCOLS
from lpcm.tasks.records import RECORDS

AXES = {"encoder": ["e"], "dataset": ["s"], "disentangler": ["none", "ica"], "adapter": ["linear-probe"]}


def cell(disentangler="none", shots=4, seed=0, adapter="linear-probe"):
    return {"disentangler": disentangler, "adapter": adapter, "shots": shots, "seed": seed}


def test_cells_are_the_product_with_one_reference_for_each_encoder_and_dataset():
    cells = list(FewShot(shots=(1, 4)).cells({**AXES, "encoder": ["e", "f"], "seed": [0, 1, 2]}))
    references = [c for c in cells if c["adapter"] == "zero-shot"]
    assert [(c["encoder"], c["disentangler"], c["shots"], c["seed"]) for c in references] == [
        ("e", "none", 0, 0),
        ("f", "none", 0, 0),
    ]
    others = [tuple(c.values()) for c in cells if c["adapter"] != "zero-shot"]
    assert len(others) == len(set(others)) == 2 * 2 * 2 * 3
    assert list(cells[0]) == ["encoder", "dataset", "disentangler", "adapter", "shots", "seed"]


def test_cells_take_the_defaults_of_the_field_where_nothing_is_said():
    cells = list(FewShot().cells({"encoder": ["e"], "dataset": ["s"]}))
    probes = [c for c in cells if c["adapter"] == "linear-probe"]
    assert {c["shots"] for c in probes} == {1, 2, 4, 8, 16}
    assert {c["seed"] for c in probes} == {0, 1, 2, 3, 4}
    assert {c["disentangler"] for c in probes} == {"none"}


def test_zero_shot_asked_for_alone_is_the_reference_alone():
    cells = list(FewShot().cells({**AXES, "adapter": ["zero-shot"]}))
    assert [c["shots"] for c in cells] == [0]


def test_the_record_lists_what_the_task_takes():
    (record,) = [record for record in RECORDS if record.name == "fewshot"]
    task = FewShot(**{param.name: param.default for param in record.params})
    assert task.shots == FewShot().shots
    assert next(p for p in record.params if p.name == "protocol").choices == tuple(PROTOCOLS)


@pytest.mark.parametrize("disentangler", ["none", "pca", "whiten", "rotation", "ica", "pca-ica"])
def test_it_learns_from_few_labels_with_every_disentangler(disentangler, make_bench, blocks):
    task, test = FewShot(), blocks["test"]
    fitted = task.fit(make_bench(disentangler=disentangler), cell(disentangler, shots=8))
    score = task.score(fitted.predict(test.features), test.labels, 5)
    assert score.value > 0.6  # chance is 0.2
    assert score.metric == "accuracy"
    assert score.outcomes.mean() == pytest.approx(score.value, abs=1e-12)
    assert json.loads(json.dumps(fitted.facts)) == fitted.facts
    assert fitted.selection.startswith("validation accuracy")


def test_whitening_rotation_and_ica_predict_the_same(make_bench, blocks):
    predicted = [
        FewShot().fit(make_bench(disentangler=name), cell(name)).predict(blocks["test"].features)
        for name in ("whiten", "rotation", "ica", "pca-ica")
    ]
    for other in predicted[1:]:
        assert np.mean(predicted[0] == other) > 0.99  # up to ties at float32 rounding


def test_the_same_cell_gives_the_same_bytes(make_bench, blocks):
    first, second = (FewShot().fit(make_bench(disentangler="ica"), cell("ica")) for _ in range(2))
    assert first.facts == second.facts
    assert (
        first.predict(blocks["test"].features).tobytes() == second.predict(blocks["test"].features).tobytes()
    )


def test_a_cell_does_not_depend_on_the_other_shots_of_the_study(make_bench):
    alone, among = FewShot(shots=(4,)), FewShot(shots=(1, 2, 4, 8))
    assert alone.fit(make_bench(), cell()).facts == among.fit(make_bench(), cell()).facts


def test_one_unmixing_serves_all_shots_and_adapters_of_a_seed(make_bench):
    asked = []
    for shots in (1, 2, 4, 8):
        bench = make_bench(disentangler="ica")
        FewShot().fit(bench, cell("ica", shots))
        asked.append((bench.asked["rows"].tobytes(), bench.asked["key"]))
    assert len(set(asked)) == 1


def test_validation_rows_come_from_train_where_the_dataset_has_none(make_bench, blocks):
    bench = make_bench(blocks={"train": blocks["train"]}, disentangler="pca")
    facts = FewShot().fit(bench, cell("pca", shots=8)).facts
    assert (facts["train_rows"], facts["val_rows"], facts["val_from"]) == (40, 20, "train")
    assert facts["fit_rows"] == 105 - 20
    assert facts["fit_on_what"] == "train rows, labels unused, without those kept for validation"


def test_validation_rows_come_from_val_where_there_is_one(make_bench):
    facts = FewShot().fit(make_bench(disentangler="pca"), cell("pca", shots=2)).facts
    assert (facts["val_rows"], facts["val_from"], facts["fit_rows"]) == (10, "val", 105)
    assert "leaks" not in facts


def test_the_unmixing_can_be_fitted_on_the_shots_alone(make_bench):
    bench = make_bench(disentangler="pca")
    facts = FewShot(fit_on="shots").fit(bench, cell("pca", shots=4)).facts
    assert (facts["fit_on"], facts["fit_rows"], facts["disentangler"]["k"]) == ("shots", 20, 4)


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_the_unmixing_can_be_fitted_on_a_file(ending, make_bench, blocks, tmp_path):
    from safetensors.numpy import save_file

    features, path = blocks["train"].features[:77], tmp_path / f"more.{ending}"
    if ending == "npy":
        np.save(path, features)
    elif ending == "npz":
        np.savez(path, features=features, ids=np.arange(77))
    else:
        save_file({"features": features}, path)
    bench = make_bench(disentangler="pca")
    facts = FewShot(fit_on=str(path)).fit(bench, cell("pca")).facts
    assert bench.asked["rows"].tobytes() == features.tobytes()
    assert (facts["fit_on"], facts["fit_rows"]) == ("file", 77)
    assert f"more.{ending}, sha256 " in facts["fit_on_what"]


def test_a_file_that_cannot_serve_says_why(make_bench, tmp_path):
    def fit(name):
        return FewShot(fit_on=str(tmp_path / name)).fit(make_bench(), cell())

    with pytest.raises(MissingError, match="not a file"):
        fit("nowhere.npy")
    (tmp_path / "table.csv").write_text("1,2")
    with pytest.raises(UsageError, match="expected train, shots, or a features file"):
        fit("table.csv")
    np.save(tmp_path / "narrow.npy", np.zeros((7, 3), np.float32))
    with pytest.raises(DataError, match="width 3: expected 17"):
        fit("narrow.npy")
    np.savez(tmp_path / "misnamed.npz", feature=np.zeros((7, 17)))
    with pytest.raises(DataError, match="did you mean 'feature'"):
        fit("misnamed.npz")
    np.save(tmp_path / "flat.npy", np.zeros(7))
    with pytest.raises(DataError, match=r"shape \(7,\), expected"):
        fit("flat.npy")
    for broken in ("broken.npy", "broken.npz", "broken.safetensors"):
        (tmp_path / broken).write_bytes(b"not what it says")
        with pytest.raises(DataError, match="cannot be read"):
            fit(broken)


def test_a_pickle_is_never_opened(make_bench, tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        FewShot(fit_on=str(tmp_path / "objects.npy")).fit(make_bench(), cell())


def test_zero_shot_needs_no_shots(make_bench, blocks):
    task, test = FewShot(), blocks["test"]
    fitted = task.fit(make_bench(adapter="zero-shot", text=True), cell(shots=0, adapter="zero-shot"))
    assert task.score(fitted.predict(test.features), test.labels, 5).value > 0.6
    assert fitted.facts["reference"] == "zero-shot"


def test_what_did_not_converge_is_a_warning_of_the_row(make_bench):
    bench = make_bench(disentangler="ica")
    original = bench.disentangler
    bench.disentangler = lambda rows, key, **settings: original(rows, key, max_iter=1, **settings)
    fitted = FewShot().fit(bench, cell("ica"))
    assert any("FastICA did not converge" in warning for warning in fitted.warnings)
    assert fitted.facts["disentangler"]["converged"] is False
    assert "warnings" not in fitted.facts["disentangler"]


def test_the_papers_protocol_unmixes_shots_and_validation_and_says_that_this_leaks(make_bench, blocks):
    bench = make_bench(disentangler="pca-ica")
    fitted = FewShot(protocol="beyond-dags").fit(bench, cell("pca-ica", shots=4))
    assert len(bench.asked["rows"]) == 5 * 4 + 5 * 4
    assert bench.asked["disentangler"] == BEYOND_DAGS.settings["pca-ica"]
    assert bench.asked["adapter"] == BEYOND_DAGS.settings["linear-probe"]
    assert any("validation rows that choose C" in leak for leak in fitted.facts["leaks"])
    report = fitted.facts["disentangler"]
    assert (report["p"], report["k"]) == (17, 17)
    assert "k=160 was cut to the numerical rank 17" in report["notes"][0]
    assert fitted.facts["adapter"]["scale"] == 1.0
    assert fitted.selection == "validation accuracy, coarse sweep then bisection"
    assert fitted.predict(blocks["test"].features).shape == (165,)


def test_fit_on_goes_before_the_protocol(make_bench):
    bench = make_bench(disentangler="pca")
    FewShot(protocol="beyond-dags", fit_on="train").fit(bench, cell("pca"))
    assert len(bench.asked["rows"]) == 105


def test_settings_of_a_protocol_are_settings_that_their_owners_have():
    from lpcm.adapters.records import RECORDS as ADAPTERS
    from lpcm.disentanglers.records import RECORDS as DISENTANGLERS

    owners = {record.name: {p.name for p in record.params} for record in (*ADAPTERS, *DISENTANGLERS)}
    for protocol in PROTOCOLS.values():
        for name, settings in protocol.settings.items():
            assert set(settings) <= owners[name]


def test_the_null_is_chance_and_the_commonest_label():
    score = FewShot().score(np.array([0, 1, 1, 1]), np.array([0, 0, 0, 1]), 4)
    assert score.value == 0.5
    assert score.null == {"chance": 0.25, "majority": 0.75}
    assert score.outcomes.tolist() == [1, 0, 0, 1]


def test_predictions_of_another_length_are_refused():
    with pytest.raises(DataError, match="2 predictions were given for 3 labels"):
        FewShot().score(np.zeros(2, np.int64), np.zeros(3, np.int64), 2)


@pytest.mark.parametrize("shots", [(), (0,), (1, -1), (1.5,), (True,), 0])
def test_shots_that_cannot_be_are_refused(shots):
    with pytest.raises(UsageError, match="expected whole numbers of 1 or more"):
        FewShot(shots=shots)


def test_an_unknown_protocol_is_told_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'beyond-dags'"):
        FewShot(protocol="beyond-dag")


def test_nan_features_are_refused_by_name(make_bench, blocks):
    train = blocks["train"]
    features = train.features.copy()
    features[3] = np.nan
    broken = Block(features, train.labels, train.ids, train.domains)
    with pytest.raises(DataError, match="NaN or infinity in 1 of 85 rows"):
        FewShot().fit(make_bench(blocks={"train": broken}), cell())


def test_bits_do_not_depend_on_the_number_of_threads(make_bench):
    # Sizes at which BLAS would share out a product between threads, and so add in another order.
    generator = Key.of(0).fold("wide").generator()
    labels = np.repeat(np.arange(5), 80)
    features = (generator.standard_normal((400, 515)) + 3 * np.eye(5, 515)[labels]).astype(np.float32)
    block = Block(features, labels, tuple(map(str, range(400))), ("",) * 400)
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            bench = make_bench(disentangler="ica", blocks={"train": block})
            found.append(FewShot().fit(bench, cell("ica", shots=16)).facts)
    assert found[0] == found[1] == found[2]


def test_no_global_generator_moves(make_bench):
    before = np.random.get_state()[1].tobytes()
    FewShot().fit(make_bench(disentangler="ica"), cell("ica"))
    assert np.random.get_state()[1].tobytes() == before
