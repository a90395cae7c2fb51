"""A home folder may have nearly any name: what it holds lies in it, or it is refused at once."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from percasym.errors import PercasymError
from percasym.home import ARTIFACTS, VARIABLE, Home
from percasym.runs import list_runs
from percasym.tracking import Tracker, fetch

ODD = (
    *(
        "a b",
        "a#b",
        "100%",
        "a%b",
        "a%zz",
        "ünï",
        "o'brien",
        'say "x"',
        "a;b",
        "a&b=c",
        "a:b",
        "{x}",
        "$HOME",
    ),
    *("a\\b", "a,b", "~x", "a@b", "[x]", "a*b", "file:", "-x", "`x`", "a|b > c", "中文"),
)
REFUSED = ("a ?x=y", "?", "a%20b", "%3f", "new\nline", "a\tb", "\udcff")


@pytest.mark.parametrize("name", ODD)
def test_all_that_a_home_holds_lies_in_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / name))
    tracker = Tracker.current()
    run = tracker.start("mini", {"stage": "study", "study": "mini"})
    with run.open():
        work = Home.current().work
        work.mkdir()
        (work / "file").write_text("text")
        run.publish(work)
        run.dataset("data", "0" * 64, run.uri, "test")
    version = tracker.register("mini", run.uri, run.id, {})
    tracker.alias("mini", "best", version)
    assert (fetch(run.uri, tmp_path / "elsewhere") / "file").read_text() == "text"
    assert (tracker.version("mini", "best").checkpoint / "file").exists()
    assert [artifact.path for artifact in tracker.client.list_artifacts(run.id)] == ["file"]
    assert [found["name"] for found in list_runs("mini")] == ["mini"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "mlflow.db").is_file()


@pytest.mark.parametrize("variable", [VARIABLE, ARTIFACTS])
@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_others_would_misread_is_refused_in_one_line(
    name: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(variable, str(tmp_path / name))
    with pytest.raises(PercasymError, match="cannot keep studies") as raised:
        Tracker.current()
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_artifacts_may_have_any_address_of_an_object_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv(ARTIFACTS, "s3://bucket/a%20b?region=x")
    assert Home.current().artifacts == "s3://bucket/a%20b?region=x"


def test_other_users_are_shut_out_of_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is there already too; the group keeps what it has."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o2775)
    (home / "mlflow.db").touch()
    (home / "mlflow.db").chmod(0o664)
    monkeypatch.setenv(VARIABLE, str(home))
    Home.current()
    assert stat.S_IMODE(home.stat().st_mode) == 0o2770
    assert stat.S_IMODE((home / "mlflow.db").stat().st_mode) == 0o660


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_a_process_and_its_children_write_is_closed_to_others(mask: int, tmp_path: Path) -> None:
    program = (
        "import os, subprocess; from percasym.home import Home; "
        "Home.current().root.mkdir(); subprocess.run(['touch', Home.current().root / 'file'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, VARIABLE: str(tmp_path / "home")},
        preexec_fn=lambda: os.umask(mask) and None,
        check=True,
    )
    assert done.returncode == 0
    for path, wanted in ((tmp_path / "home", 0o777), (tmp_path / "home" / "file", 0o666)):
        assert stat.S_IMODE(path.stat().st_mode) == wanted & ~mask & ~0o007


def test_a_folder_of_everybody_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    Home.current()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
