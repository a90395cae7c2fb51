"""The commands about a home folder, over stages that have really run."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.command import call
from prefect import flow

from percasym.presets import load_preset
from percasym.sections import EvaluationSection
from percasym.tracking import Tracker
from tasks import progress
from tasks.flow_run import flow_run
from tasks.progress import Event
from tasks.stage import Reference, Work, stage

Captured = pytest.CaptureFixture[str]


@stage()
def write(work: Work, config: EvaluationSection, text: str) -> None:
    (work.folder / "text").write_text(text)


@stage()
def double(work: Work, config: EvaluationSection, first: Path) -> None:
    (work.folder / "model").mkdir()
    (work.folder / "model" / "text").write_text(2 * (first / "text").read_text())


@flow
def study(text: str) -> list[Reference]:
    """Two stages; the second one makes a model, which is registered."""
    config = load_preset("mini")
    with flow_run(text, "study", config) as run:
        first = write.submit(config, run.id, text=text)
        second = double.submit(config, run.id, first=first)
        found = [first.result(), second.result()]
        run.tags({f"stage.{one.stage}": one.run for one in found})
        Tracker.current().register("mini", f"{found[1].uri}/model", found[1].run, {})
    return found


@pytest.fixture
def references(home: Path, prefect_server: None) -> list[Reference]:
    """What a study in the home folder has left."""
    return study("a")


@contextmanager
def listening() -> Iterator[list[Event]]:
    events: list[Event] = []
    progress.listeners.append(events.append)
    try:
        yield events
    finally:
        progress.listeners.remove(events.append)


@contextmanager
def others_at_work() -> Iterator[None]:
    """A thread that goes on logging to MLflow and publishing artifacts."""
    tracker, end, begun = Tracker.current(), threading.Event(), threading.Event()

    def work() -> None:
        number = 0
        while not end.is_set():
            run = tracker.start(f"other {number}", {"stage": "study"})
            folder = tracker_scratch / str(number)
            folder.mkdir(parents=True)
            (folder / "text").write_text("x" * 100_000)
            run.metrics({"a": number}, step=number)
            run.publish(folder)
            number += 1
            begun.set()

    tracker_scratch = Path(os.environ["PERCASYM_HOME"]) / "work" / "others"
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("suffix", [".tar", ".tar.zst"])
def test_a_home_that_is_at_work_goes_elsewhere_with_all_that_is_in_it(
    references: list[Reference],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Captured,
    suffix: str,
) -> None:
    file, new = tmp_path / f"home{suffix}", tmp_path / "elsewhere" / "new"
    with others_at_work():
        code, out, err = call(capfd, "backup", file, "--home", home)
    assert (code, err) == (0, "")
    assert "1 of mlflow.db" in out
    shutil.move(home, tmp_path / "gone")
    code, out, err = call(capfd, "restore", file, "--home", new)
    assert (code, err) == (0, "")
    assert out.startswith(f"{new} is as {home} was at ")

    monkeypatch.setenv("PERCASYM_HOME", str(new))
    with listening() as events:
        again = study("a")
    assert [(event.stage, event.state) for event in events] == [("write", "hit"), ("double", "hit")]
    assert [one.model_dump(exclude={"uri"}) for one in again] == [
        one.model_dump(exclude={"uri"}) for one in references
    ]
    assert all(one.path.is_relative_to(new) and one.intact() for one in again)
    client = Tracker.current().client
    assert [file.path for file in client.list_artifacts(again[1].run, "model")] == ["model/text"]
    version = client.get_model_version("mini", 1)
    assert (Path(version.source) / "text").read_text() == "aa"
    tags = client.get_run(again[1].run).data.tags
    assert Reference.model_validate_json(tags["reference"]) == again[1]
    for run in client.search_runs([Tracker.current().experiment]):
        assert Path(run.info.artifact_uri).is_relative_to(new)
    code, out, _ = call(capfd, "gc", "--json", "--home", new)
    assert code == 0
    assert {one["why"] for one in json.loads(out)["garbage"]} == set()
    assert file.stat().st_mode & 0o077 == 0


def test_gc_lists_and_with_yes_removes(
    references: list[Reference], home: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    other = study("b")
    tracker = Tracker.current()
    code, out, _ = call(capfd, "gc", "--home", home)
    assert code == 0
    assert out.startswith("nothing to remove\nfor more: delete studies")
    (found,) = tracker.client.search_runs([tracker.experiment], "attributes.run_name = 'b'")
    tracker.client.delete_run(found.info.run_id)
    tracker.client.delete_model_version("mini", "2")
    code, out, _ = call(capfd, "gc", "--home", home)
    assert code == 0
    assert f"artifacts/{other[0].run}" in out
    assert "write: its study b is deleted in MLflow" in out
    assert "2 things," in out
    assert "`percasym gc --yes` removes them" in out
    assert all(one.intact() for one in [*references, *other])
    code, out, _ = call(capfd, "gc", "--yes", "--json", "--home", home)
    told = json.loads(out)
    assert {Path(one["path"]).name for one in told["garbage"]} == {one.run for one in other}
    assert all(one["removed"] for one in told["garbage"])
    assert set(told["runs"]) == {one.run for one in other}
    assert not any(one.path.exists() for one in other)
    assert all(one.intact() for one in references)
    with listening() as events:
        assert study("a") == references
        again = study("b")
    assert [(event.stage, event.state) for event in events if event.state != "running"] == [
        *(("write", "hit"), ("double", "hit"), ("write", "done"), ("double", "done"))
    ]
    assert again[1].digest == other[1].digest


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gc", "--home", "nowhere"], "there is no home folder nowhere"),
        (["backup", "a.tar", "--home", "nowhere"], "there is nothing to back up: no folder"),
        (["backup", "a.zip"], "name a file that ends in .tar"),
        (["restore", "a.tar", "--home", "new"], "there is no file a.tar"),
    ],
)
def test_one_line_for_every_mistake(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERCASYM_HOME", str(tmp_path))
    code, _, err = call(capfd, *arguments)
    assert code == 2
    assert line in err
    assert err.count("\n") == 1


def test_the_doctor_says_whether_mini_can_run(
    home: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = call(capfd, "doctor", "--home", home)
    assert (code, err) == (0, "")
    assert "mini" in out
    assert "docs/lifecycle.md" in out
    code, out, _ = call(capfd, "doctor", "--json", "--home", home)
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    assert found["presets"][1] == {"name": "mini", "ready": True, "needs": [], "notes": []}
    (home / "mlflow.db").write_bytes((home / "mlflow.db").read_bytes()[:5000])
    code, out, _ = call(capfd, "doctor", "--json", "--home", home)
    assert code == 1
    assert json.loads(out)["presets"][0]["ready"] is False


def test_nothing_heavy_is_imported_by_the_doctor_where_there_is_no_driver(home: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        pytest.skip("there is a driver")
    program = (
        "import sys\n"
        "from percasym.home import Home\n"
        "from percasym.lifecycle.doctor import examine\n"
        "examine(Home.current())\n"
        "print(sorted({'torch', 'transformers', 'prefect', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
