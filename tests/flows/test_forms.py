"""Values planted in forms, or in what forms read from MLflow: code, files, folders and addresses that nobody
has allowed. Nothing happens, and one line says so."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fixtures.local_server import local_server

from flows import forms
from percasym.allowed import VARIABLE, NotAllowed, allow
from percasym.config import StudyConfig
from percasym.engines.config import KEY
from percasym.errors import PercasymError
from percasym.presets import load_preset
from percasym.tracking import PARENT, Tracker

CODE = """
open({marker!r}, "w")
from percasym.puzzles.sudoku import SudokuPuzzle
from percasym.sft.weighting.pcgrad import PCGrad

class Puzzle(SudokuPuzzle): ...
class Arm(PCGrad): ...

def reward(group):
    return [0.5 for _ in group.responses]
"""


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("PERCASYM_PUZZLE_FILES", "")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What is there once planted code has run."""
    return tmp_path / "ran"


@pytest.fixture
def code(tmp_path: Path, marker: Path) -> Path:
    (tmp_path / "planted").mkdir()
    file = tmp_path / "planted" / "mine.py"
    file.write_text(CODE.format(marker=str(marker)))
    (tmp_path / "planted" / "prompt.txt").write_text("{query} {perception}")
    return file


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that must not be asked for anything."""
    monkeypatch.setenv(KEY, "planted-key")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

        def do_GET(self) -> None:
            asked.append(str(self.headers))

        do_POST = do_GET

    asked: list[str] = []
    with local_server(Handler) as found:
        yield f"{found}/v1"
    assert not asked


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StudyConfig]:
    """The studies that forms have started, which do nothing."""
    configs: list[StudyConfig] = []
    monkeypatch.setattr(forms.studying.study, "fn", configs.append)
    monkeypatch.setattr(forms.evaluation.evaluate, "fn", lambda config, model: configs.append(config))
    return configs


def planted(code: Path, address: str) -> dict[str, dict[str, Any]]:
    verl = ["grpo.engine=verl", "rl_arms=outcome"]
    return {
        "puzzle": {"settings": [f"puzzle={code}:Puzzle", "side=369"]},
        "arms": {"arms": ["token_mean", f"{code}:Arm"]},
        "arms by settings": {"settings": [f"arms=token_mean,{code}:Arm"]},
        "rewards": {"rewards": [f"surrogate:{code}:reward:0.5"]},
        "model": {"model": str(code.parent)},
        "teacher": {"settings": [f"teacher={code.parent}"]},
        "rl_teacher": {"rewards": ["surrogate:teacher:0.5"], "settings": [f"rl_teacher={code.parent}"]},
        "teacher_prompt": {"settings": ["teacher=a/b", f"teacher_prompt={code.parent}/prompt.txt"]},
        "teacher_server": {"settings": ["teacher=a/b", f"teacher_server={address}"]},
        "grpo.overrides": {
            "settings": [*verl, "grpo.overrides=actor_rollout_ref.model.trust_remote_code=true"]
        },
    }


@pytest.mark.parametrize("name", planted(Path(), ""))
@pytest.mark.parametrize("form", ["study", "sweep", "evaluate"])
def test_what_is_planted_in_a_form_does_nothing(
    form: str, name: str, code: Path, marker: Path, address: str, started: list[StudyConfig]
) -> None:
    fields = planted(code, address)[name]
    if form != "study":  # which alone has fields for these
        lists = {"arms": "arms", "rewards": "rl_arms"}
        lines = [f"{lists[field]}={','.join(fields[field])}" for field in lists if field in fields]
        fields = {**fields, "settings": [*fields.get("settings", []), *lines]}
        fields = {field: value for field, value in fields.items() if field not in lists}
    if form == "evaluate":
        fields.setdefault("model", "owner/name")
    with pytest.raises(NotAllowed, match=r"may not be named in a form: .*percasym up --allow") as error:
        getattr(forms, form).fn(**fields)
    assert "\n" not in str(error.value)
    assert "planted-key" not in str(error.value)
    assert not started
    assert not marker.exists()


@pytest.mark.parametrize("name", planted(Path(), ""))
def test_what_is_allowed_is_done(name: str, code: Path, address: str, started: list[StudyConfig]) -> None:
    allow([str(code.parent), address, "actor_rollout_ref.model.trust_remote_code=true"])
    forms.study.fn(**planted(code, address)[name])
    assert len(started) == 1


def test_a_run_of_such_a_form_fails_and_says_why(
    code: Path, marker: Path, prefect_server: None, started: list[StudyConfig]
) -> None:
    state = forms.study(settings=[f"puzzle={code}:Puzzle"], return_state=True)
    assert state.is_failed()
    assert f"percasym up --allow '{code}'" in str(state.message)
    assert not started
    assert not marker.exists()


def test_names_on_the_command_line_are_free(code: Path, address: str) -> None:
    for fields in planted(code, address).values():
        names = {"rewards": "rl_arms"}
        changes = {names.get(field, field): value for field, value in fields.items() if field != "settings"}
        load_preset("mini", {**changes, **forms.parse_settings(fields.get("settings", []))})


def test_what_is_planted_in_mlflow_does_nothing(home: Path, code: Path, marker: Path) -> None:
    """Registered models that are elsewhere, and studies whose settings name code."""
    tracker = Tracker.current()
    study = tracker.start("planted", {"stage": "study", "study": "planted"})
    study.params({**load_preset("mini").model_dump(mode="json"), "puzzle": f"{code}:Puzzle"})
    with study.open():
        run = tracker.start("sft", {PARENT: study.id, "stage": "sft"})
    version = tracker.register("planted", str(code.parent), run.id, {})
    tracker.alias("planted", "best", version)
    with pytest.raises(NotAllowed, match="may not be named in a form"):
        forms.evaluate.fn("planted@best")
    with pytest.raises(NotAllowed, match="may not be named in a form"):
        forms.report.fn("planted")
    with pytest.raises(PercasymError, match=r"planted@best: .* may not be named in a form"):
        forms.reevaluate.fn()
    assert not marker.exists()
