"""What has been run, as MLflow keeps it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.study import MODELS
from fixtures.tracked import Tracked

from percasym.errors import PercasymError
from percasym.report import ReportInput
from percasym.runs import list_runs
from percasym.tracking import Tracker


def test_studies_and_reevaluations_the_newest_first(
    make_study: Callable[..., ReportInput], track: Callable[..., Tracked]
) -> None:
    tracked = track(make_study(models=MODELS[:2], n=4, training=False))
    tracker = Tracker.current()
    tracker.start("other", {"stage": "study"})
    again = tracker.start("mini@best", {"stage": "reevaluation", "study": "mini", "verdict": "fell"})
    again.metrics({"a": 0.2, "a_p": 0.4, "fresh/a": 0.1, "change/a": -0.05})
    again.tags({"stage.evaluate.fixed": "1" * 32, "stage.evaluate.fresh": "2" * 32})
    measured = tracker.start("some/model", {"stage": "evaluation"})
    measured.metrics({"a": 0.6, "a_p": 0.7, "a_r": 0.8})
    measured.tags({"stage.evaluate.some/model": "3" * 32})

    found = list_runs()
    assert json.loads(json.dumps(found)) == found
    assert [(run["kind"], run["name"]) for run in found] == [
        ("evaluation", "some/model"),
        ("reevaluation", "mini@best"),
        ("study", "other"),
        ("study", "mini"),
    ]
    single, second, running, whole = found
    assert single["models"] == [
        {"model": "some/model", "evaluation": "3" * 32, "a": 0.6, "a_p": 0.7, "a_r": 0.8}
    ]
    assert second["verdict"] == "fell"
    assert second["models"] == [
        {"model": "fixed", "evaluation": "1" * 32, "a": 0.2, "a_p": 0.4, "a_r": None},
        {"model": "fresh", "evaluation": "2" * 32, "a": 0.1, "a_p": None, "a_r": None},
    ]
    assert (running["status"], running["minutes"], running["models"]) == ("RUNNING", None, [])
    assert whole["status"] == "FINISHED"
    assert {model["model"]: model["evaluation"] for model in whole["models"]} == tracked.evaluations
    assert whole["models"][0]["a_r"] == 0.75

    assert [run["run"] for run in list_runs("mini")] == [again.id, tracked.study]
    assert [run["name"] for run in list_runs(limit=1)] == ["some/model"]
    with pytest.raises(PercasymError, match='no run called "it\'s"; there are other, mini'):
        list_runs("it's")


def test_where_there_is_nothing_yet(home: Path) -> None:
    with pytest.raises(PercasymError, match="no runs"):
        list_runs()
    (home / "mlflow.db").unlink()
    with pytest.raises(PercasymError, match="no runs"):
        list_runs()
