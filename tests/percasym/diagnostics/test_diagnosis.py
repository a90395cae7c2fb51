import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from percasym.diagnostics.diagnosis import diagnose
from percasym.errors import PercasymError
from percasym.metrics import as_json, compare, summarise


def diagnosis_of(study):
    return diagnose(study.models, study.dataset, study.split, study.sweep)


@pytest.mark.parametrize("puzzle", ["sudoku", "graph_coloring"])
def test_one_account_of_everything(make_study, puzzle):
    study = make_study(puzzle, sweep=(0.1, 0.5, 0.9))
    found = diagnosis_of(study)
    assert json.loads(json.dumps(found, allow_nan=False))["headline"] == found["headline"]
    assert list(found["models"]) == ["base", "token_mean", "fixed:0.3", "ngdiff"]
    assert {name: set(baselines) for name, baselines in found["comparisons"].items()} == {
        "token_mean": {"base"},
        "fixed:0.3": {"base", "token_mean"},
        "ngdiff": {"base", "token_mean"},
    }
    assert [point["weight"] for point in found["sweeps"]["lam"]] == [0.1, 0.5, 0.9]
    for name, model in found["models"].items():
        assert sum(model["outcomes"].values()) == found["items"] == 60
        assert sum(count for _, count in model["caption_credit"]) == 60
        assert sum(model["misreadings"]["per_item"].values()) == 60
        assert (model["shares"] is None) == (name == "base")


def test_numbers_are_those_of_the_metrics(make_study):
    study = make_study()
    found = diagnosis_of(study)
    rows = {model.name: pq.read_table(model.results).to_pylist() for model in study.models}
    assert found["models"]["ngdiff"]["summary"] == as_json(summarise(rows["ngdiff"]))
    assert found["comparisons"]["ngdiff"]["token_mean"] == as_json(
        compare(rows["token_mean"], rows["ngdiff"])
    )


def test_exact_captions_are_those_without_a_wrong_fact(make_study):
    model = diagnosis_of(make_study())["models"]["ngdiff"]
    exact = model["summary"]["a_p"]["value"] * 60
    assert model["misreadings"]["per_item"]["0"] == pytest.approx(exact)
    assert dict(model["caption_credit"])[1.0] == pytest.approx(exact)


def test_gap_and_its_growth(make_study):
    models = diagnosis_of(make_study())["models"]
    gaps = {}
    for name in ("base", "ngdiff"):
        summary = models[name]["summary"]
        gaps[name] = summary["a_r"]["value"] - summary["a_p"]["value"]
        assert models[name]["gap"]["value"] == pytest.approx(gaps[name])
    assert models["base"]["gap_growth"] is None
    assert models["ngdiff"]["gap_growth"]["value"] == pytest.approx(gaps["ngdiff"] - gaps["base"])


def test_without_oracle_and_training(make_study):
    found = diagnosis_of(make_study(oracle=False, training=False))
    for model in found["models"].values():
        assert model["summary"]["a_r"] is model["gap"] is model["association"] is model["shares"] is None


def test_one_model_alone(make_study):
    study = make_study()
    found = diagnose(study.models[:1], study.dataset, study.split)
    assert found["comparisons"] == {}
    assert "Base answers" in found["headline"]


def test_an_arm_without_a_base(make_study):
    study = make_study()
    found = diagnose(study.models[3:], study.dataset, study.split)
    assert found["comparisons"] == {"ngdiff": {}}
    assert found["headline"].startswith("NGDiff answers")


def refused(study, match):
    with pytest.raises(PercasymError, match=match) as caught:
        diagnosis_of(study)
    assert "\n" not in str(caught.value)


def test_bad_results_are_refused_in_one_line(make_study, tmp_path):
    study = make_study()
    path = study.models[1].results
    rows = pq.read_table(path)
    pq.write_table(rows.drop_columns(["a_p"]), path)
    refused(study, "lack a_p")
    pq.write_table(rows.slice(0, 0), path)
    refused(study, "no results")
    pq.write_table(rows.slice(0, 20), path)
    refused(study, "same items")
    path.write_bytes(b"PAR1 torn")
    refused(study, "cannot be read")
    path.unlink()
    refused(study, "cannot be read")


def test_results_of_another_split_are_refused(make_study):
    study = make_study()
    path = study.models[0].results
    rows = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist([{**row, "id": f"other-{row['id']}"} for row in rows]), path)
    refused(replace(study, models=study.models[:1]), "no item of this split")


def test_a_torn_log_is_refused(make_study):
    study = make_study()
    study.models[1].training.write_text('{"kind": "train", "st')
    refused(study, "training log cannot be read")
    study.models[1].training.write_text("3\n")
    refused(study, "line 1")


def test_names_must_differ(make_study):
    study = make_study()
    refused(replace(study, models=[study.models[0], study.models[0]]), "name of its own")
    refused(replace(study, models=[]), "at least one model")
