"""Stages: what is done once, what is done again, and what is left when something goes wrong."""

import json
import logging
import pkgutil
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.folders import link
from percasym.presets import load_preset
from percasym.sections import EvaluationSection
from percasym.tracking import Tracker, local_path
from tasks import progress
from tasks.progress import Event
from tasks.sources import sources_digest
from tasks.stage import Reference, Work, stage

pytestmark = pytest.mark.usefixtures("prefect_server")


@stage()
def write(work: Work, config: EvaluationSection, text: str, log: str) -> None:
    note(log, f"write {text}")
    (work.folder / "text").write_text(text)
    (work.folder / "metrics.jsonl").write_text(json.dumps({"seconds": time.monotonic()}))


@stage()
def double(work: Work, config: EvaluationSection, first: Path, log: str) -> None:
    note(log, "double")
    (work.folder / "text").write_text(2 * (first / "text").read_text())


@stage()
def slow(work: Work, config: EvaluationSection, log: str) -> None:
    note(log, "slow")
    time.sleep(0.5)
    (work.folder / "text").write_text("slow")


@stage()
def breaking(work: Work, config: EvaluationSection, log: str) -> None:
    """Dies half way the first time, as if it had been killed, and goes on from there the second time."""
    note(log, work.run.id)
    half = work.scratch / "half"
    if not half.exists():
        half.write_text("first half, ")
        (work.folder / "torn").write_text("")
        raise SystemExit
    (work.folder / "text").write_text(half.read_text() + "second half")


@stage()
def training(work: Work, config: EvaluationSection, log: str) -> None:
    """Takes up what it finds in its scratch folder, as trainings and evaluations do."""
    if not (work.scratch / "model").exists():
        note(log, "trained")
        (work.scratch / "model").mkdir()
        (work.scratch / "model" / "weights").write_text("learnt")
    link(work.scratch / "model", work.folder / "model")


@stage()
def filling(work: Work, config: EvaluationSection) -> None:
    (work.scratch / "checkpoint").write_text("kept")
    with open("/dev/full", "w") as disk:
        disk.write("x")


@stage()
def mistaken(work: Work, config: EvaluationSection) -> None:
    raise PercasymError("no such model")


def note(log: str, text: str) -> None:
    with open(log, "a") as file:
        file.write(text + "\n")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
def events() -> Any:
    found: list[Event] = []
    progress.listeners.append(found.append)
    yield found
    progress.listeners.remove(found.append)


def run(body: Callable[[str], Any]) -> Any:
    """Runs `body` in a flow; it gets the id of the study's MLflow run."""

    @flow
    def study() -> Any:
        return body(Tracker.current().start("study", {}).id)

    return study()


def chain(log: Path, text: str = "a", **changes: Any) -> tuple[Reference, Reference]:
    config = load_preset("mini", changes)

    def body(study: str) -> tuple[Reference, Reference]:
        first = write.submit(config, study, text=text, log=str(log))
        second = double.submit(config, study, first=first, log=str(log))
        return first.result(), second.result()

    found: tuple[Reference, Reference] = run(body)
    return found


def test_the_same_is_done_once(home: Path, log: Path) -> None:
    first, second = chain(log)
    assert (second.path / "text").read_text() == "aa"
    assert chain(log) == (first, second)
    assert log.read_text() == "write a\ndouble\n"


def test_another_input_is_another_stage(home: Path, log: Path) -> None:
    before, after = chain(log), chain(log, "b")
    assert (after[1].path / "text").read_text() == "bb"
    assert {r.run for r in before}.isdisjoint({r.run for r in after})


def test_a_setting_counts_where_it_is_used_and_nowhere_else(home: Path, log: Path) -> None:
    before = chain(log)
    assert chain(log, workers=1, sft={"steps": 77}, name="other") == before
    assert chain(log, max_new_tokens=99)[0] != before[0]


def test_what_is_altered_is_done_again_alone_and_said(
    home: Path, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = chain(log)
    (first.path / "text").write_text("c")
    with caplog.at_level(logging.WARNING, "percasym"):
        again, hit = chain(log)
    assert (again.path / "text").read_text() == "a"
    assert again.run != first.run
    assert hit == second  # the content is as before, though the training log is not
    assert log.read_text() == "write a\ndouble\nwrite a\n"
    assert [record.message for record in caplog.records if record.name.startswith("percasym")] == [
        "write: its artifact is missing or altered, so it is done again"
    ]


@pytest.mark.parametrize("what", ["the artifact", "a file", "the training log", "the seal"])
def test_what_is_missing_is_done_again_alone(what: str, home: Path, log: Path) -> None:
    first, second = chain(log)
    if what == "the artifact":
        shutil.rmtree(first.path)
    elif what == "a file":
        (first.path / "text").unlink()
    elif what == "the training log":
        (first.path / "metrics.jsonl").unlink()
    else:
        (first.path / "seal.json").unlink()
    again, hit = chain(log)
    assert again.intact()
    assert hit == second
    assert log.read_text() == "write a\ndouble\nwrite a\n"


def test_what_is_added_is_an_alteration(home: Path, log: Path) -> None:
    first, _ = chain(log)
    (first.path / "more").touch()
    assert not first.intact()


def test_a_killed_stage_goes_on_in_its_own_run(home: Path, log: Path) -> None:
    config = load_preset("mini")
    with pytest.raises(SystemExit):
        run(lambda study: breaking.submit(config, study, log=str(log)).result())
    assert not list(home.glob("artifacts/*/artifacts"))
    reference = run(lambda study: breaking.submit(config, study, log=str(log)).result())
    assert (reference.path / "text").read_text() == "first half, second half"
    assert sorted(path.name for path in reference.path.iterdir()) == ["seal.json", "text"]
    assert log.read_text().split() == [reference.run, reference.run]
    assert not (home / "work" / "breaking" / reference.key).exists()


def test_two_that_want_the_same_at_once_do_it_once(home: Path, log: Path, events: list[Event]) -> None:
    config = load_preset("mini")

    def body(study: str) -> list[Reference]:
        return [future.result() for future in [slow.submit(config, study, log=str(log)) for _ in range(3)]]

    references = run(body)
    assert log.read_text() == "slow\n"
    assert references[0] == references[1] == references[2]


PLACES = [
    ("percasym.seals.file_digests", "the digests"),
    ("tasks.stage.seal", "the seal"),
    ("percasym.tracking.Run.publish", "the upload"),
    ("percasym.tracking.shutil.move", "moving it"),
    ("percasym.tracking.Run.tags", "the record in MLflow"),
    ("mlflow.MlflowClient.set_terminated", "the end of the run"),
    ("tasks.stage.shutil.rmtree", "cleaning up"),
]


@pytest.mark.parametrize("error", [ConnectionError("unreachable"), KeyboardInterrupt(), OSError(28, "full")])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", [place for place, _ in PLACES], ids=[what for _, what in PLACES])
def test_what_was_worked_out_is_kept_whatever_fails_afterwards(
    home: Path, log: Path, monkeypatch: pytest.MonkeyPatch, place: str, when: str, error: BaseException
) -> None:
    config = load_preset("mini")

    def study() -> Reference:
        found: Reference = run(lambda study: training.submit(config, study, log=str(log)).result())
        return found

    owner, _, name = place.rpartition(".")
    original = getattr(pkgutil.resolve_name(owner), name)

    def failing(*arguments: Any, **options: Any) -> Any:
        if not log.read_text():  # its own work is not done yet
            return original(*arguments, **options)
        if when == "after":
            original(*arguments, **options)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, failing)
        with suppress(BaseException):
            study()
    reference = study()
    assert log.read_text() == "trained\n"
    assert reference.intact()
    assert (reference.path / "model" / "weights").read_text() == "learnt"
    tracker = Tracker.current()
    runs = tracker.having(stage="training")
    assert [one.info.run_id for one in runs] == [reference.run]
    assert runs[0].info.status == "FINISHED"
    assert study() == reference
    assert not list(home.glob("work/training/*"))


def damaged(record: Path, how: str) -> None:
    text = record.read_text()
    if how == "torn":
        record.write_text(text[:100])
    elif how == "gone":
        record.unlink()
    elif how == "empty":
        record.write_text("")
    elif how == "its serializer":
        record.write_text(text.replace('"type":"json"', '"type":"pickle"'))
    elif how == "its decoder":
        record.write_text(text.replace("prefect_json_object_decoder", "from_qualified_name"))
    else:
        record.write_text(text.replace('"write', '"wrote'))
    assert not record.exists() or record.read_text() != text


@pytest.mark.parametrize("how", ["torn", "gone", "empty", "its serializer", "its decoder", "a field"])
def test_a_damaged_record_is_made_anew_of_what_mlflow_has(home: Path, log: Path, how: str) -> None:
    before = chain(log)
    for record in (home / "results" / "write").iterdir():
        damaged(record, how)
    assert chain(log) == before
    assert log.read_text().split("\n") == ["write a", "double", ""]
    assert [path.name for path in (home / "results" / "write").iterdir()] == [before[0].key]
    assert chain(log) == before


@pytest.mark.parametrize("content", ["", "\0\0", "no id", "\xff", "0" * 32])
def test_a_run_file_that_names_no_run_is_no_obstacle(home: Path, log: Path, content: str) -> None:
    config = load_preset("mini")
    with pytest.raises(SystemExit):
        run(lambda study: breaking.submit(config, study, log=str(log)).result())
    (remembered,) = home.glob("work/breaking/*/run")
    remembered.write_text(content)
    assert run(lambda study: breaking.submit(config, study, log=str(log)).result()).intact()


def test_a_damaged_download_is_forgotten_and_made_anew(
    home: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an artifact in an object store, which is compared with its seal when it is used."""
    first, second = chain(log)
    (home / "results" / "double" / second.key).unlink()
    Tracker.current().forget(second.run, "reference")
    (first.path / "text").write_text("c")
    with monkeypatch.context() as patch:
        patch.setattr(Reference, "intact", lambda reference: True)
        patch.setattr("percasym.seals._checked", set())  # as in the next process
        with pytest.raises(PercasymError, match=r"is damaged: text is not what it was .* run the same study"):
            chain(log)
        again, after = chain(log)
    assert again.run != first.run
    assert (after.path / "text").read_text() == "aa"


def test_a_run_that_was_deleted_is_not_continued(home: Path, log: Path) -> None:
    config = load_preset("mini")
    with pytest.raises(SystemExit):
        run(lambda study: breaking.submit(config, study, log=str(log)).result())
    Tracker.current().client.delete_run(log.read_text().strip())
    run(lambda study: breaking.submit(config, study, log=str(log)).result())
    first, second = log.read_text().split()
    assert first != second


def test_events_tell_work_from_hits(home: Path, log: Path, events: list[Event]) -> None:
    chain(log)
    assert [(e.stage, e.state) for e in events] == [
        ("write", "running"),
        ("write", "done"),
        ("double", "running"),
        ("double", "done"),
    ]
    events.clear()
    chain(log)
    assert [(e.stage, e.state) for e in events] == [("write", "hit"), ("double", "hit")]


def test_the_run_keeps_parameters_parents_and_artifact(home: Path, log: Path) -> None:
    first, second = chain(log)
    client = Tracker.current().client
    run = client.get_run(second.run)
    assert run.info.status == "FINISHED"
    assert run.data.params["max_new_tokens"] == str(load_preset("mini").max_new_tokens)
    assert run.data.tags["stage"] == "double"
    assert run.data.tags["input.first"] == first.run
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).info.run_name == "study"
    assert sorted(file.path for file in client.list_artifacts(second.run)) == ["seal.json", "text"]
    assert local_path(second.uri) == second.path


def test_a_full_disk_is_one_line_and_loses_nothing(home: Path) -> None:
    config = load_preset("mini")
    with pytest.raises(
        PercasymError, match=r"^filling: no space left on device in .*free some space"
    ) as raised:
        run(lambda study: filling.submit(config, study).result())
    assert "\n" not in str(raised.value)
    assert [path.read_text() for path in home.glob("work/filling/*/scratch/checkpoint")] == ["kept"]


def test_an_error_comes_through_and_marks_the_run(home: Path, events: list[Event]) -> None:
    config: StudyConfig = load_preset("mini")
    with pytest.raises(PercasymError, match=r"^no such model$"):
        run(lambda study: mistaken.submit(config, study).result())
    tracker = Tracker.current()
    (found,) = tracker.client.search_runs([tracker.experiment], "tags.stage = 'mistaken'")
    assert found.info.status == "FAILED"
    assert [event.state for event in events] == ["running", "failed"]


def test_a_key_that_cannot_be_found_is_an_error_and_no_unkept_result(
    home: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: Any = iter([None, *[sources_digest(write.modules)] * 9])

    def failing_once(*_: Any) -> str:
        if found := next(digests):
            return str(found)
        raise ConnectionError("unreachable")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.stage.sources_digest", failing_once)
        with pytest.raises(ConnectionError, match=r"^unreachable$"):
            chain(log)
    assert not log.read_text()
    assert all((home / "results" / found.stage / found.key).exists() for found in chain(log))


def test_an_empty_input_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from percasym.sections import BaseSection
    from tasks.base import base

    monkeypatch.chdir(tmp_path)
    config = load_preset("mini").section(BaseSection)
    before = base.key(config, {"model": ""})
    (tmp_path / "new").write_text("something")
    assert base.key(config, {"model": ""}) == before
