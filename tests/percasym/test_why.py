"""Why a stage was done again, from what MLflow has of its runs."""

import json
from pathlib import Path

import pytest

from percasym.errors import PercasymError
from percasym.tracking import PARENT, PARTS, Tracker
from percasym.why import explain


def stage_run(study: str, **parts: str) -> str:
    tracker = Tracker.current()
    run = tracker.start("sft a", {PARENT: study, "stage": "sft", "label": "a", "key": str(parts)})
    run.tags({PARTS: json.dumps({name.replace("_", " ", 1): value for name, value in parts.items()})})
    tracker.finish(run.id)
    return run.id


def study(made: str | None = None, **parts: str) -> str:
    """A finished study whose one stage is done in it, or found: `made`; the id of the stage's run."""
    tracker = Tracker.current()
    run = tracker.start("tiny", {"stage": "study"})
    stage = made or stage_run(run.id, **parts)
    run.link({"sft a": stage})
    tracker.finish(run.id)
    return stage


def test_a_stage_is_done_for_the_first_time_found_and_done_again_for_what_differs(home: Path) -> None:
    first = study(setting_sft_steps="40", input_data="abc", code_percasym_x="1")
    found = explain("sft a")
    assert (found["ending"], found["before"], found["changes"]) == ("done", None, {})
    study(made=first)
    assert explain("sft a", "tiny")["ending"] == "hit"
    study(setting_sft_steps="50", input_data="abc", input_base="new")
    found = explain("sft a")
    assert found["ending"] == "done"
    assert found["changes"] == {
        "setting sft_steps": ("40", "50"),
        "input base": (None, "new"),
        "code percasym_x": ("1", None),
    }


def test_a_phase_of_a_recipe_is_asked_for_by_its_name(home: Path) -> None:
    tracker = Tracker.current()
    run = tracker.start("tiny", {"stage": "study"})
    run.link({"sft mine@1": stage_run(run.id, setting_x="1")})
    tracker.finish(run.id)
    assert explain("sft mine@1")["ending"] == "done"


def test_what_is_not_there_is_told_in_one_line(home: Path) -> None:
    study(setting_x="1")
    with pytest.raises(PercasymError, match=r"tiny has no stage 'sft b'; it has sft a$"):
        explain("sft b")
    with pytest.raises(PercasymError, match="no finished study called 'other'"):
        explain("sft a", "other")
