"""Evaluations by what a user writes, and one line for each way to be wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.study import MODELS
from fixtures.tracked import Tracked

from percasym.errors import PercasymError
from percasym.evaluations import check_same_items, dataset_of, find_evaluations
from percasym.report import ReportInput
from percasym.tracking import Tracker


@pytest.fixture
def study(make_study: Callable[..., ReportInput]) -> ReportInput:
    return make_study(models=MODELS[:2], n=6, training=False)


def test_the_three_forms_find_the_same(study: ReportInput, track: Callable[..., Tracked], home: Path) -> None:
    tracked = track(study)
    run = tracked.evaluations["token_mean"]
    folder = home / "results"
    folder.mkdir()
    shutil.copy(study.models[1].results, folder / "results.parquet")
    written = ("mini/token_mean", run, run[:8], str(folder))
    found = [find_evaluations([name])[0] for name in written]
    assert [one.rows() for one in found] == [found[0].rows()] * 4
    assert [one.label for one in found] == ["token_mean"] * 3 + ["results"]
    assert [one.run for one in found] == [run, run, run, None]
    data, split = dataset_of(found[:1])
    assert split == "test"
    assert data.parent.name == tracked.data
    assert dataset_of(find_evaluations([str(folder)], study.dataset)) == (study.dataset, "test")


def test_of_several_studies_of_a_name_the_latest_finished_one(
    study: ReportInput, track: Callable[..., Tracked]
) -> None:
    track(study)
    second = track(study)
    track(study, status="FAILED")
    assert find_evaluations(["mini/base"])[0].run == second.evaluations["base"]


def test_labels_say_no_more_than_it_takes_to_differ(
    study: ReportInput, track: Callable[..., Tracked]
) -> None:
    first, second = track(study), track(study)
    track(study, name="other")
    labels = [one.label for one in find_evaluations(["mini/base", "mini/token_mean"])]
    assert labels == ["base", "token_mean"]
    labels = [one.label for one in find_evaluations(["mini/base", "other/base"])]
    assert labels == ["mini/base", "other/base"]
    runs = [first.evaluations["base"], second.evaluations["base"]]
    assert [one.label for one in find_evaluations(runs)] == [f"mini/base {run[:8]}" for run in runs]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mini/nobody"], r"no model 'nobody'; it has base, token_mean"),
        (["nothing/base"], r"no finished study called 'nothing'; there are mini"),
        (["abcdef"], r"no MLflow run begins with abcdef"),
        (["what is this"], r"names no evaluation: write STUDY/MODEL"),
        (["mini/base", "mini/base"], r"named twice"),
    ],
)
def test_a_wrong_name_is_told(
    names: list[str], message: str, study: ReportInput, track: Callable[..., Tracked]
) -> None:
    track(study)
    with pytest.raises(PercasymError, match=message) as error:
        find_evaluations(names)
    assert "\n" not in str(error.value)


def test_a_run_that_is_no_finished_evaluation_is_told(
    study: ReportInput, track: Callable[..., Tracked], tmp_path: Path
) -> None:
    tracked = track(study)
    for run, message in (
        (tracked.study, r"'mini' as a whole: name one of its evaluations: base \("),
        (tracked.data, r"generate \(.*\) has no results.parquet"),
        (Tracker.current().start("evaluate x", {"stage": "evaluate"}).id, r"has not finished"),
    ):
        with pytest.raises(PercasymError, match=message):
            find_evaluations([run])
    with pytest.raises(PercasymError, match=r"has no results.parquet: name a folder"):
        find_evaluations([str(tmp_path)])


def test_where_there_is_nothing_yet(home: Path) -> None:
    (home / "mlflow.db").unlink()
    with pytest.raises(PercasymError, match="run `percasym study` first"):
        find_evaluations(["mini/base"])
    assert not (home / "mlflow.db").exists()


def test_an_unknown_data_set_is_asked_for(
    study: ReportInput, track: Callable[..., Tracked], make_study: Callable[..., ReportInput], tmp_path: Path
) -> None:
    folder = study.models[0].results.parent / "alone"
    folder.mkdir()
    shutil.copy(study.models[0].results, folder / "results.parquet")
    with pytest.raises(PercasymError, match="--data"):
        dataset_of(find_evaluations([str(folder)]))
    shutil.rmtree(study.dataset)
    other = make_study("graph_coloring", models=MODELS[:1], n=6, training=False)
    with pytest.raises(PercasymError, match=r"no split .* \(it has test\) holds the items"):
        dataset_of(find_evaluations([str(folder)], other.dataset))


def test_the_same_ids_of_other_puzzles_are_not_the_same_items(
    study: ReportInput, track: Callable[..., Tracked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fixtures import study as simulated

    track(study)
    monkeypatch.setitem(simulated.PUZZLES, "sudoku", {**simulated.PUZZLES["sudoku"], "style": "clean"})
    (tmp_path / "easy").mkdir()
    easy = simulated.simulate_study(tmp_path / "easy", "sudoku", MODELS[:1], 6, training=False)
    track(easy, name="easy")
    check_same_items(find_evaluations(["mini/base", "mini/token_mean"]))
    with pytest.raises(PercasymError, match="different puzzles under the same ids"):
        check_same_items(find_evaluations(["mini/base", "easy/base"]))
