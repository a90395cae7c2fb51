"""Places in a home folder, when it has another path."""

import json
import shutil
from pathlib import Path

import pytest

from percasym.lifecycle.moving import move_database, move_records, moved
from percasym.tracking import Tracker

OLD, NEW = Path("/data/old home"), Path("/new/é")
PLACES = {OLD: NEW}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/data/old home", "/new/é"),
        ("/data/old home/artifacts/1", "/new/é/artifacts/1"),
        ("file:///data/old%20home/a", "file:///new/%C3%A9/a"),
        ("/data/old home 2/a", "/data/old home 2/a"),
        ("/mnt/data/old home/a", "/mnt/data/old home/a"),
        ("s3://bucket/data/old home/a", "s3://bucket/data/old home/a"),
        ("see /data/old home/a", "see /data/old home/a"),
        ("", ""),
        ("{broken", "{broken"),
        ('{"n":1}', '{"n":1}'),
    ],
)
def test_a_path_in_the_old_folder_gets_the_new_one(before: str, after: str) -> None:
    assert moved(before, PLACES) == after


def test_within_json_too_however_deep() -> None:
    inner = json.dumps({"data": {"uri": f"{OLD}/a", "n": 1.5}})
    found = json.loads(moved(json.dumps({"result": inner, "list": [f"{OLD}", None, "x"]}), PLACES))
    assert found["list"] == [str(NEW), None, "x"]
    assert json.loads(found["result"]) == {"data": {"uri": f"{NEW}/a", "n": 1.5}}


def test_of_two_places_the_first_counts() -> None:
    places = {Path("/store"): Path("/new/artifacts"), Path("/"): Path("/other")}
    assert moved("/store/1", places) == "/new/artifacts/1"
    assert moved("/elsewhere", places) == "/other/elsewhere"


def test_mlflow_names_nothing_in_the_old_folder_any_more(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker.current()
    run = tracker.start("sft", {"reference": json.dumps({"uri": f"{home}/artifacts/1"})})
    run.dataset("generate", "0" * 64, f"{home}/artifacts/data", "training")
    run.params({"model": f"{home}/artifacts/1", "arms": "['a/b']"})
    run.metrics({"a": 1.0})
    tracker.register("mini", f"{run.uri}/model", run.id, {"kind": "a/b"})
    new = tmp_path / "new"
    shutil.move(home, new)
    assert move_database(new / "mlflow.db", {home: new}) >= 6
    assert str(home).encode() not in (new / "mlflow.db").read_bytes().replace(str(new).encode(), b"")
    assert move_database(new / "mlflow.db", {home: new}) == 0
    monkeypatch.setenv("PERCASYM_HOME", str(new))
    client = Tracker.current().client
    found = client.get_run(run.id)
    assert found.info.artifact_uri == f"{new}/artifacts/{run.id}/artifacts"
    assert json.loads(found.data.tags["reference"]) == {"uri": f"{new}/artifacts/1"}
    assert found.data.params == {"model": f"{new}/artifacts/1", "arms": "['a/b']"}
    assert found.inputs.dataset_inputs[0].dataset.source == f"{new}/artifacts/data"
    assert client.get_model_version("mini", 1).source == f"{new}/artifacts/{run.id}/artifacts/model"
    assert client.get_experiment_by_name("percasym").artifact_location == f"{new}/artifacts"


def test_records_are_moved(tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    folder.mkdir()
    (folder / "a").write_text(json.dumps({"uri": str(OLD)}))
    (folder / "b").write_text(json.dumps({"uri": "s3://bucket"}))
    assert move_records(tmp_path, PLACES) == 1
    assert json.loads((folder / "a").read_text()) == {"uri": str(NEW)}
