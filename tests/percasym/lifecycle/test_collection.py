"""Garbage: what nothing refers to goes, and nothing else, whatever goes on meanwhile."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures.place import Place

from percasym.errors import PercasymError
from percasym.home import Home
from percasym.lifecycle.collection import DAY, STARTING, alone
from percasym.presets import load_preset
from percasym.tracking import PARENT, Tracker
from tasks.flow_run import flow_run
from tasks.locks import stage_lock

WEEKS = 20 * DAY


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home, Tracker.current())


def old(path: Path) -> Path:
    """Makes everything in a folder look as if it had been written weeks ago."""
    for one in [*path.rglob("*"), path]:
        os.utime(one, (time.time() - WEEKS,) * 2)
    return path


def test_what_a_deleted_study_made_goes_and_what_another_found_in_the_cache_stays(place: Place) -> None:
    gone, stays = place.flow(), place.flow()
    data = place.stage(gone, "data")
    model = place.stage(gone, "model", data=data)
    alone_in_it = place.stage(gone, "alone", data=data)
    place.client.set_tag(stays, "stage.sft.ngdiff", model)
    place.client.delete_run(gone)
    found = place.collector().find()
    assert [(one.run, one.why) for one in found.garbage] == [
        (alone_in_it, "sft: its study mini is deleted in MLflow")
    ]
    assert found.bytes == found.garbage[0].bytes > 100  # the model and its record
    assert place.has(alone_in_it)
    assert [one.run for one in place.gc()] == [alone_in_it]
    assert place.has(data)
    assert place.has(model)
    assert not place.has(alone_in_it)
    assert not (place.root / "results" / "sft" / "alone").exists()
    assert place.deleted(alone_in_it)
    assert not place.deleted(model)
    assert place.gc() == []


@pytest.mark.parametrize("kind", ["study", "evaluation", "reevaluation", "anything"])
def test_a_flow_counts_until_it_is_deleted(place: Place, kind: str) -> None:
    flow = place.flow(kind)
    made = place.stage(flow, "a")
    assert place.gc() == []
    place.client.delete_run(flow)
    assert [one.run for one in place.gc()] == [made]


def test_a_registered_model_keeps_what_it_was_made_of(place: Place) -> None:
    study = place.flow()
    data = place.stage(study, "data")
    model = place.stage(study, "model", data=data)
    uri = place.client.get_run(model).info.artifact_uri
    version = place.tracker.register("mini", f"{uri}/model", model, {})
    place.client.delete_run(study)
    assert place.gc() == []
    place.client.delete_model_version("mini", version)
    assert {one.run for one in place.gc()} == {data, model}


def test_a_run_that_is_deleted_by_itself_stays_while_something_refers_to_it(place: Place) -> None:
    study = place.flow()
    data, attempt = place.stage(study, "data"), place.stage(study, "attempt")
    place.client.set_tag(study, "stage.generate", data)
    for run in (data, attempt):
        place.client.delete_run(run)
    assert [(one.run, one.why) for one in place.gc()] == [(attempt, "sft: deleted in MLflow")]


def test_records_without_an_artifact_go(place: Place) -> None:
    study = place.flow()
    run = place.stage(study, "a")
    flow_result = place.root / "results" / "0123"  # not of a stage
    flow_result.write_text("{}")
    shutil.rmtree(place.root / "artifacts" / run)
    record = place.root / "results" / "sft" / "a"
    assert [(one.path, one.why) for one in place.gc()] == [(record, "its artifact is gone")]
    assert not record.exists()
    assert flow_result.exists()


def test_half_a_record_goes_when_nobody_writes_it(place: Place) -> None:
    path = place.record("a", "1" * 32, "s3://bucket")
    assert place.gc() == []
    path.write_text(path.read_text()[:20])
    with stage_lock("sft/a"):
        assert place.gc() == []
    assert [(one.path, one.why) for one in place.gc()] == [(path, "half written")]


def test_artifacts_of_runs_that_mlflow_does_not_know_need_a_word(place: Place) -> None:
    stranger = place.root / "artifacts" / ("0" * 32) / "artifacts"
    stranger.mkdir(parents=True)
    (stranger / "model").touch()
    foreign = place.root / "artifacts" / "models"
    foreign.mkdir()
    collector = place.collector()
    found = collector.find()
    assert found.garbage == []
    assert "--unknown" in found.kept[0]
    (one,) = place.gc(unknown=True)
    assert (one.path, one.why) == (stranger.parent, "MLflow does not know its run")
    assert not stranger.parent.exists()
    assert foreign.exists()  # no folder of a run


def test_a_database_that_does_not_answer_makes_nothing_garbage(place: Place) -> None:
    run = place.stage(place.flow(), "a")
    (place.root / "mlflow.db").write_text("no database")
    with pytest.raises(PercasymError, match="MLflow does not say what it knows"):
        place.gc(unknown=True)
    assert place.has(run)


def test_leftovers_of_copies_go_after_a_day(place: Place) -> None:
    run = place.stage(place.flow(), "a")
    parts = [place.root / "artifacts" / run / "artifacts.part", place.root / "work" / "fetched" / "b.part"]
    for part in parts:
        part.mkdir(parents=True)
        (part / "half").write_text("half")
    assert place.gc() == []
    for part in parts:
        old(part)
    with stage_lock("sft/a"):  # it is being published
        assert [one.path for one in place.gc()] == [parts[1]]
    assert [one.path for one in place.gc()] == [parts[0]]
    assert place.has(run)


def test_unfinished_stages_go_when_they_are_old_and_nobody_refers_to_them(place: Place) -> None:
    study, dead = place.flow(), place.flow()
    kept = place.unfinished(place.stage(study, "of a study"), "of a study")
    data = place.stage(dead, "data")
    young_run = place.stage(dead, "young", record=False, data=data)
    young = place.unfinished(young_run, "young")
    busy = place.unfinished(place.stage(dead, "busy", record=False), "busy")
    left_run = place.stage(dead, "left", record=False)
    left = place.unfinished(left_run, "left")
    for work in (kept, busy, left):
        old(work)
    place.client.delete_run(dead)
    with stage_lock("sft/busy"):
        gone = {one.path for one in place.gc()}
    assert gone == {left, place.root / "artifacts" / left_run}
    assert all(work.exists() for work in (kept, young, busy))
    assert place.has(data)  # the young one goes on from it
    assert not place.deleted(young_run)
    assert place.deleted(left_run)
    assert place.root / "work" / "sft" / "young" in {one.path for one in place.gc(age=0.0)}


def test_downloads_are_copies_and_go_when_they_are_old(place: Place) -> None:
    download = place.root / "work" / "fetched" / ("0" * 32)
    download.mkdir(parents=True)
    assert place.gc() == []
    old(download)
    assert [one.path for one in place.gc()] == [download]


def test_while_a_flow_works_artifacts_stay(place: Place) -> None:
    study, other = place.flow(), place.flow()
    made = place.stage(study, "a")
    place.client.delete_run(study)
    with stage_lock(f"run/{other}"):
        collector = place.collector()
        found = collector.find()
        assert "1 flows are at work" in found.kept[0]
        assert collector.collect(found) == []
    assert place.has(made)
    assert not place.deleted(made)
    with stage_lock(f"run/{study}"):  # also if its run was deleted meanwhile
        assert place.gc() == []
    assert [one.run for one in place.gc()] == [made]


def test_a_flow_that_has_no_run_yet_is_at_work_whatever_the_clocks_say(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = place.flow()
    made = place.stage(study, "a")
    place.client.delete_run(study)
    later = time.time() + WEEKS
    monkeypatch.setattr(time, "time", lambda: later)
    with stage_lock(f"run/{STARTING}x"):
        assert place.gc() == []
    seen = []
    with monkeypatch.context() as patch:
        start = Tracker.start

        def starting(tracker: Tracker, *arguments: Any) -> Any:
            run = start(tracker, *arguments)
            seen.append(place.gc())  # a moment at which MLflow knows the run, and its lock is not there
            return run

        patch.setattr(Tracker, "start", starting)
        with flow_run("mini", "study", load_preset("mini")):
            seen.append(place.gc())
    assert seen == [[], []]
    assert not list((place.root / "locks").glob("*starting-*-*"))
    assert [one.run for one in place.gc()] == [made]


def test_what_a_stage_has_left_is_as_old_as_the_disk_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.unfinished("", "a")
    later = time.time() + WEEKS
    monkeypatch.setattr(time, "time", lambda: later)
    assert place.gc() == []


def test_a_flow_that_begins_after_the_look_is_not_harmed(place: Place) -> None:
    study = place.flow()
    made = place.stage(study, "a")
    place.client.delete_run(study)
    collector = place.collector()
    found = collector.find()
    assert len(found.garbage) == 1
    place.flow()
    assert collector.collect(found) == []
    assert place.has(made)
    assert not place.deleted(made)


def test_a_stage_that_works_is_not_harmed(place: Place) -> None:
    study = place.flow()
    made, other = place.stage(study, "a"), place.stage(study, "b")
    left = old(place.unfinished("", "c"))
    place.client.delete_run(study)
    collector = place.collector()
    found = collector.find()
    assert len(found.garbage) == 3
    (left / "scratch" / "checkpoint").write_text("more")  # somebody has gone on with it
    with stage_lock("sft/a"):
        assert [one.run for one in collector.collect(found)] == [other]
    assert place.has(made)
    assert left.exists()


def test_a_stage_that_was_done_again_keeps_its_record(place: Place) -> None:
    study = place.flow()
    place.stage(study, "a")
    place.client.delete_run(study)
    collector = place.collector()
    found = collector.find()
    again = place.record("a", "1" * 32, "/elsewhere")
    assert collector.collect(found) == []
    assert again.exists()


def test_what_is_in_an_object_store_is_left_alone_and_said(
    place: Place, monkeypatch: pytest.MonkeyPatch, mlflow_tables: Path, tmp_path: Path
) -> None:
    root = tmp_path / "remote"
    root.mkdir()
    shutil.copy(mlflow_tables, root / "mlflow.db")
    monkeypatch.setenv("PERCASYM_HOME", str(root))
    monkeypatch.setenv("PERCASYM_ARTIFACTS", "s3://bucket/percasym")
    remote = Place(root, Tracker.current())
    study = remote.flow()
    run = remote.tracker.start("sft", {PARENT: study, "stage": "sft", "key": "a"})
    record = remote.record("a", run.id, run.uri)
    remote.client.delete_run(study)
    collector = remote.collector()
    found = collector.find()
    assert found.kept == ["artifacts of 1 runs are in an object store: gc removes nothing there"]
    assert collector.collect(found) == []
    assert record.exists()
    assert not remote.deleted(run.id)


def test_one_at_a_time(place: Place) -> None:
    with (
        alone(Home(place.root)),
        pytest.raises(PercasymError, match="at work"),
        alone(Home(place.root)),
    ):
        pass
