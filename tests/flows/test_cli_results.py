"""`compare`, `gallery` and `runs`, as a user calls them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.command import call
from fixtures.study import MODELS
from fixtures.tracked import Tracked

from percasym.report import ReportInput


@pytest.fixture
def study(make_study: Callable[..., ReportInput]) -> ReportInput:
    return make_study(models=MODELS[1:], n=40, training=False)


@pytest.fixture
def tracked(study: ReportInput, track: Callable[..., Tracked]) -> Tracked:
    return track(study)


@pytest.fixture
def folder(study: ReportInput, tmp_path: Path) -> Path:
    """Results as `percasym evaluate --out` leaves them."""
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(study.models[0].results, folder / "results.parquet")
    return folder


def test_models_of_a_study_are_compared(
    tracked: Tracked, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    names = ("mini/token_mean", "mini/ngdiff", tracked.evaluations["fixed:0.3"][:10])
    code, told, error = call(capfd, "compare", *names, "--out", out, "--home", home)
    assert code == 0, error
    assert "ngdiff" in told
    assert "fixed:0.3" in told
    assert "p, Holm" in told
    assert str(out / "comparison.html") in error
    assert {path.name for path in out.iterdir()} >= {"comparison.html", "gallery-1.html", "figures"}

    code, told, _ = call(capfd, "compare", *names[:2], "--json")
    found = json.loads(told)
    assert found["reference"] == "token_mean"
    assert found["against"]["ngdiff"]["figures"]["a"]["difference"]["n"] == 40


def test_folders_are_compared_without_mlflow(
    study: ReportInput,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PERCASYM_HOME", str(tmp_path / "nothing"))
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(study.models[2].results, other / "results.parquet")
    code, _, error = call(capfd, "compare", folder, other, "--out", tmp_path / "out")
    assert code == 0
    assert "name the data set with --data" in error
    assert not list((tmp_path / "out").glob("gallery*"))
    code, _, error = call(capfd, "compare", folder, other, "--out", tmp_path / "out", "--data", study.dataset)
    assert code == 0, error
    assert (tmp_path / "out" / "gallery-1.html").exists()
    assert not (tmp_path / "nothing").exists()


def test_a_gallery_of_one_model_or_of_two(
    tracked: Tracked,
    study: ReportInput,
    folder: Path,
    home: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    code, told, error = call(
        capfd, "gallery", "mini/ngdiff", "--cause", "perception", "--limit", "5", "--out", out
    )
    assert code == 0, error
    assert told == f"5 items in {out / 'gallery.html'}\n"
    assert "mini: ngdiff" in (out / "gallery.html").read_text()
    code, told, _ = call(
        capfd, "gallery", "mini/token_mean", "mini/ngdiff", "--cause", "gained", "--out", out
    )
    assert code == 0
    assert "▲ gained" in (out / "gallery.html").read_text()
    code, _, error = call(capfd, "gallery", folder, "--out", out)
    assert (code, error.count("\n")) == (2, 1)
    assert "--data" in error
    assert call(capfd, "gallery", folder, "--data", study.dataset, "--out", out)[0] == 0


def test_runs_are_listed(tracked: Tracked, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, told, _ = call(capfd, "runs", "--home", home)
    assert code == 0
    assert "25.0" in told
    assert tracked.evaluations["ngdiff"][:8] in told
    code, told, _ = call(capfd, "runs", "mini", "--json")
    (run,) = json.loads(told)
    assert run["run"] == tracked.study


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "mini/ngdiff"], "two evaluations or more"),
        (["compare", "mini/ngdiff", "mini/nobody"], "has no model 'nobody'; it has fixed:0.3, ngdiff"),
        (["gallery", "mini/ngdiff", "mini/token_mean", "mini/fixed:0.3"], "one evaluation, or two"),
        (["gallery", "mini/ngdiff", "--cause", "luck"], "no group of items 'luck'"),
        (["runs", "nothing"], "no run called 'nothing'; there are mini"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    tracked: Tracked,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = call(capfd, *arguments)
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize("name", ["o'brien", 'say "x"', "a' or name = 'b", "'\"", "%", "a\nb"])
@pytest.mark.parametrize("command", ["report", "runs", "compare", "gallery"])
def test_a_study_that_is_not_there_is_told_whatever_its_name(
    command: str, name: str, tracked: Tracked, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {"compare": [f"{name}/a", f"{name}/b"], "gallery": [f"{name}/a"]}.get(command, [name])
    code, told, error = call(capfd, command, *names, "--home", home)
    assert (code, told) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.fixture
def read_only(home: Path) -> Iterator[Path]:
    """The home, on a file system that nobody can write to."""
    command = ["mount", "-o", "bind", str(home), str(home)]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("to mount a file system takes root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
        yield home
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def test_a_home_that_cannot_be_written_to_can_be_looked_at(
    tracked: Tracked, read_only: Path, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="Read-only"):
        (read_only / "new").touch()
    before = sorted(Path.cwd().iterdir())
    for arguments in (
        ["runs"],
        ["compare", "mini/token_mean", "mini/ngdiff", "--out", str(tmp_path / "comparison")],
        ["gallery", "mini/token_mean", "--out", str(tmp_path / "gallery")],
        ["gc"],
    ):
        command = [sys.executable, "-m", "flows.cli", *arguments, "--home", str(read_only)]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
    assert sorted(Path.cwd().iterdir()) == before
    command = [sys.executable, "-m", "flows.cli", "study", "--home", str(read_only)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "cannot be written to: Read-only file system" in said.stderr


@pytest.mark.parametrize("damage", ["its head", "within"])
def test_a_damaged_database_says_the_way_out(
    tracked: Tracked, home: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = home / "mlflow.db"
    data = bytearray(path.read_bytes())
    if damage == "its head":
        data[:16] = bytes(16)
    else:
        for page in range(1, len(data) // 4096):
            data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(data)
    command = [sys.executable, "-m", "flows.cli", "runs", "--home", str(home)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 2, said.stderr
    assert said.stderr.splitlines()[-1].startswith(f"error: {path} is damaged: restore a backup")
    assert "Traceback" not in said.stderr
