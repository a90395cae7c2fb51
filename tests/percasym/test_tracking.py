"""The store of record: runs, artifacts, data sets, registered models."""

import threading
from pathlib import Path

import pytest

from percasym.errors import PercasymError
from percasym.runs import list_runs
from percasym.tracking import Run, Tracker, fetch, is_local, local_path


@pytest.fixture
def run(home: Path) -> Run:
    return Tracker.current().start("sft ngdiff", {"stage": "sft"})


def test_a_run_keeps_what_it_is_told(run: Run) -> None:
    run.params({"learning_rate": 0.001, "puzzle_options": {"rows": 2}})
    run.metrics({"loss_p": 1.5, "kind": "train", "loss_r": None, "seconds": 2}, step=10)
    run.metrics({"a": 0.25}, step=10, prefix="validation/")
    run.tags({"arm": "ngdiff"})
    data = run.client.get_run(run.id).data
    assert data.params == {"learning_rate": "0.001", "puzzle_options": "{'rows': 2}"}
    assert data.metrics == {"loss_p": 1.5, "seconds": 2.0, "validation/a": 0.25}
    assert data.tags["arm"] == "ngdiff"
    assert [m.step for m in run.client.get_metric_history(run.id, "loss_p")] == [10]


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_ends_as_its_work_ended(run: Run, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), run.open():
        raise error
    assert run.client.get_run(run.id).info.status == status
    with run.open():
        assert run.client.get_run(run.id).info.status == "RUNNING"
    assert run.client.get_run(run.id).info.status == "FINISHED"


def test_an_artifact_appears_as_a_whole_and_replaces_what_was_there(run: Run, tmp_path: Path) -> None:
    for text in ("first", "second"):
        folder = tmp_path / text
        (folder / "model").mkdir(parents=True)
        (folder / "model" / text).write_text(text)
        run.publish(folder)
        assert not folder.exists()
    target = local_path(run.uri)
    assert [path.name for path in target.rglob("*")] == ["model", "second"]
    assert [path.name for path in target.parent.iterdir()] == ["artifacts"]
    assert [file.path for file in run.client.list_artifacts(run.id, "model")] == ["model/second"]


def test_artifacts_are_within_the_home_folder(run: Run, home: Path) -> None:
    assert is_local(run.uri)
    assert local_path(run.uri).is_relative_to(home / "artifacts")
    assert fetch(run.uri, home / "elsewhere") == local_path(run.uri)
    assert local_path("file:///a%20b/c") == Path("/a b/c")
    assert not is_local("s3://bucket/key")


def test_runs_in_threads_log_one_data_set(home: Path) -> None:
    tracker = Tracker.current()
    runs = [tracker.start(f"run {number}", {}) for number in range(8)]
    together = threading.Barrier(len(runs))
    errors: list[Exception] = []

    def log(run: Run) -> None:
        together.wait()
        try:
            run.dataset("distill", "ab" * 32, "/data", "training")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=log, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    inputs = [tracker.client.get_run(run.id).inputs.dataset_inputs[0].dataset for run in runs]
    assert {(one.name, one.digest) for one in inputs} == {("distill", "ab" * 16)}


def test_a_model_is_registered_once_and_its_aliases_move(run: Run, home: Path) -> None:
    tracker = Tracker.current()
    other = tracker.start("sft token_mean", {})
    first = tracker.register("mini", f"{run.uri}/model", run.id, {"arm": "ngdiff"})
    second = tracker.register("mini", f"{other.uri}/model", other.id, {"arm": "token_mean"})
    assert tracker.register("mini", f"{run.uri}/model", run.id, {"arm": "ngdiff"}) == first
    assert (first, second) == ("1", "2")
    tracker.alias("mini", "best", second)
    tracker.alias("mini", "best", first)
    assert tracker.client.get_model_version_by_alias("mini", "best").run_id == run.id


def test_the_latest_finished_study_of_a_name_is_found(home: Path) -> None:
    tracker = Tracker.current()
    assert tracker.latest("mini", "report") is None
    reports = [tracker.start("report", {}) for _ in range(3)]
    for report, name in zip(reports, ("mini", "mini", "other"), strict=True):
        study = tracker.start(name, {"stage": "study", "stage.report": report.id})
        with study.open():
            pass
    tracker.start("mini", {"stage": "study"})  # goes on still
    assert tracker.latest("mini", "report") == reports[1].uri


def test_a_deleted_run_is_no_run(run: Run, home: Path) -> None:
    tracker = Tracker.current()
    found = tracker.run(run.id)
    assert found is not None
    assert found.uri == run.uri
    assert tracker.run("0" * 32) is None


ODD_NAMES = (
    *("o'brien", 'say "x"', "a\\b", "100%", "a_b", "ünï", "a;b", "`x`", "new\nline", "a -- b", "(a)", "''"),
    *("a = 'b' and c", "x' or attributes.run_name = 'y", "..", "tags.study", " "),
)


def test_a_run_of_any_name_is_found_by_it_and_no_other(home: Path) -> None:
    tracker = Tracker.current()
    runs = {name: tracker.start(name, {"stage": "study", "study": name}) for name in ODD_NAMES}
    for name, run in runs.items():
        tracker.client.set_terminated(run.id, "FINISHED")
        assert tracker.newest(stage="study", study=name) == run.id
        assert [found["run"] for found in list_runs(name)] == [run.id]
    assert tracker.latest("o'neil", "report") is None
    with pytest.raises(PercasymError, match="it has both kinds of quotes"):
        tracker.latest("'\"", "report")
