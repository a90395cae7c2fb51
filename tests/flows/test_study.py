"""A whole study, as small as one can be: a real model, trained and measured through Prefect and MLflow."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.released import answered, released, write_released

from flows.evaluate import evaluate
from flows.reevaluate import Fell, reevaluate
from flows.report import report
from flows.study import Outcome, study
from flows.sweep import sweep
from percasym import Study
from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.evaluation import SCHEMA
from percasym.presets import load_preset
from percasym.puzzles import load_puzzle
from percasym.tracking import Tracker
from tasks import progress
from tasks.progress import Event

# A busy machine is no failure; and the tests go on one from the other, so one worker runs them all.
pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("study")]

SETTINGS: dict[str, Any] = {"arms": ["token_mean"], "rl_arms": []}

GALLERIES = {"gallery base", "gallery token_mean"}


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path, prefect_server: None
) -> Iterator[Path]:
    """One home for the tests of this module, which go on where the one before has stopped."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copy(mlflow_tables, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCASYM_HOME", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@dataclass
class Done:
    """How each stage of a study ended (done, hit or failed), and what came of it."""

    endings: dict[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    error: Exception | None = None

    def ended(self, how: str) -> set[str]:
        return {name for name, ending in self.endings.items() if ending == how}

    @property
    def found(self) -> Outcome:
        assert self.outcome is not None, self.error
        return self.outcome


def run(**changes: Any) -> Done:
    done = Done()

    def listen(event: Event) -> None:
        if event.state != "running":
            done.endings[f"{event.stage} {event.label}".strip()] = event.state

    progress.listeners.append(listen)
    try:
        done.outcome = study(config(**changes))
    except Exception as error:
        done.error = error
    finally:
        progress.listeners.remove(listen)
    return done


@pytest.fixture(scope="module")
def broken(home: Path) -> Done:
    """The first study of all; one of its arms fails."""
    (home / "broken.py").write_text(BROKEN)
    return run(arms=["token_mean", f"{home / 'broken.py'}:Broken"])


@pytest.fixture(scope="module")
def first(broken: Done) -> Done:
    """The same study without the arm that fails."""
    return run()


def config(**changes: Any) -> StudyConfig:
    return load_preset("tiny", {**SETTINGS, **changes})


def test_an_arm_that_fails_leaves_the_others_finished(broken: Done, first: Done) -> None:
    assert "ZeroDivisionError: on purpose" in str(broken.error)
    assert {name.split()[0] for name in broken.ended("failed")} == {"sft"}
    assert broken.ended("done") == first.ended("hit")
    assert {"sft token_mean", "evaluate token_mean", "evaluate base"} <= first.ended("hit")
    assert first.ended("done") == {"diagnose", "report", *GALLERIES}


def test_other_users_can_read_nothing_of_it(first: Done, home: Path) -> None:
    ours = {home, *home.rglob("*")} - {home / "broken.py"}
    assert any(path.suffix == ".safetensors" for path in ours)
    open_to_others = [path for path in ours if not path.is_symlink() and path.stat().st_mode & 0o007]
    assert not open_to_others


def test_a_study_ends_with_a_report_and_figures(first: Done) -> None:
    page = Path(first.found.report).read_text()
    assert "The teacher is a solver" in page
    assert "token mean" in page
    assert list(first.found.summaries) == ["base", "token_mean"]
    for path in first.found.summaries.values():
        summary = json.loads(Path(path).read_text())
        assert summary["a"]["n"] == 6
        assert summary["a_r"] is not None


def test_a_study_is_read_from_python(first: Done) -> None:
    found = Study("tiny")
    assert found.models == ["base", "token_mean"]
    assert found.config == config()
    assert found.report == Path(first.found.report)
    summary = json.loads(Path(first.found.summaries["token_mean"]).read_text())
    assert found.figures().loc[("token_mean", "a_r"), "value"] == summary["a_r"]["value"]
    assert found.compare("base", "token_mean")["a"]["difference"].n == 6
    with pytest.raises(PercasymError, match=r"no finished study called 'mine'; there are .*tiny"):
        Study("mine")


def test_mlflow_knows_the_study_its_stages_their_curves_and_the_models(first: Done) -> None:
    tracker = Tracker.current()
    links = tracker.client.get_run(first.found.run).data.tags
    assert {"base/a", "token_mean/a_p"} <= set(tracker.client.get_run(first.found.run).data.metrics)
    stages = {"generate", "distill", "base", "sft.token_mean", "evaluate.base", "evaluate.token_mean"}
    assert {f"stage.{stage}" for stage in stages | {"diagnose", "report"}} <= set(links)
    arm = tracker.client.get_run(links["stage.sft.token_mean"])
    assert tracker.client.get_run(arm.data.tags["mlflow.parentRunId"]).info.run_name == "tiny"
    assert arm.data.params["weighting"] == "token_mean"
    assert arm.data.tags["input.base"] == links["stage.base"]
    assert [one.dataset.name for one in arm.inputs.dataset_inputs] == ["distill"]
    assert [m.step for m in tracker.client.get_metric_history(arm.info.run_id, "loss_p")] == [1, 2, 4]
    assert "validation/a_p" in arm.data.metrics
    evaluation = tracker.client.get_run(links["stage.evaluate.token_mean"])
    assert {"a", "a_p", "a_r", "causes/perception"} <= set(evaluation.data.metrics)
    for alias in ("baseline", "best"):
        assert tracker.client.get_model_version_by_alias("tiny", alias).run_id == arm.info.run_id


def test_another_arm_repeats_nothing_that_is_done(first: Done) -> None:
    more = run(arms=["token_mean", "fixed:0.5"])
    arm = {f"{stage} fixed:0.5" for stage in ("sft", "evaluate", "gallery")}
    assert more.ended("done") == {*arm, "diagnose", "report"}
    assert more.ended("hit") == first.ended("hit") | GALLERIES
    swept = sweep(config(arms=["token_mean", "fixed:0.1"]), [0.5])
    assert list(swept.summaries) == ["base", "token_mean", "fixed:0.5"]
    assert swept.report == more.found.report


def test_rewards_go_on_from_an_arm(first: Done) -> None:
    rewarded = run(rl_arms=["outcome", "perception_aware:0.5"])
    names = ("outcome", "perception_aware:0.5")
    trained = {f"grpo {name}" for name in names}
    # Where all rewards of a group are equal the weights stay, and what is measured already is found.
    either = {f"{stage} {name}" for stage in ("evaluate", "gallery") for name in names}
    assert rewarded.ended("done") - either == {*trained, "diagnose", "report"}
    assert rewarded.ended("hit") - either == first.ended("hit") | GALLERIES
    assert either <= rewarded.ended("done") | rewarded.ended("hit")
    tags = Tracker.current().client.get_run(rewarded.found.run).data.tags
    reinforced = Tracker.current().client.get_run(tags["stage.grpo.outcome"])
    assert reinforced.data.tags["input.base"] == tags["stage.sft.token_mean"]
    assert {"reward", "a_p", "a_own", "no_spread"} <= set(reinforced.data.metrics)
    page = Path(rewarded.found.report).read_text()
    assert "Reinforcement learning" in page
    assert "GRPO, α = 0.5" in page


def test_surrogates_are_audited_and_the_best_one_is_a_reward(
    first: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"rl_teacher": "token_mean", "audit": {"items": 2}}
    rewards = ["surrogate:agreement:0.5", "surrogate:best:0.5"]
    doubtful = run(rl_arms=rewards, **settings)  # no caption of so small a model is right
    assert "cannot tell which surrogate is best" in str(doubtful.error)
    early = {"audit", "caption", "grpo surrogate:agreement:0.5", "evaluate surrogate:agreement:0.5"}
    either = {f"{stage} {reward}" for stage in ("evaluate", "gallery") for reward in rewards}
    assert doubtful.ended("done") - either == early - either
    assert doubtful.ended("failed") == set()

    monkeypatch.setattr("flows.stand_ins.best_surrogate", lambda found: "teacher")
    decided = run(rl_arms=rewards, **settings)
    assert decided.ended("done") - either == {"grpo surrogate:best:0.5", "diagnose", "report"}
    assert decided.ended("hit") - either == first.ended("hit") | early - either | GALLERIES
    assert either <= decided.ended("done") | decided.ended("hit")
    assert decided.found.labels["surrogate:best:0.5"] == "GRPO, best surrogate: teacher, α = 0.5"
    page = Path(decided.found.report).read_text()
    assert "GRPO, best surrogate: teacher, α = 0.5" in page
    assert "What can stand in for" in page
    client = Tracker.current().client
    tags = client.get_run(decided.found.run).data.tags
    assert tags["surrogate.best"] == "teacher"
    reinforced = client.get_run(tags["stage.grpo.surrogate:best:0.5"]).data
    assert reinforced.params["reward"] == "surrogate:teacher:0.5"
    assert reinforced.tags["input.captions"] == tags["stage.caption"]
    assert "input.captions" not in client.get_run(tags["stage.grpo.surrogate:agreement:0.5"]).data.tags
    assert "teacher/seconds" in client.get_run(tags["stage.audit"]).data.metrics


def test_a_model_is_measured_again_and_a_fall_is_told(first: Done, home: Path) -> None:
    tracker = Tracker.current()

    def again() -> dict[str, str]:
        reevaluate(["best"], ["tiny"], 12, 0.05, {})
        run = tracker.newest(stage="reevaluation", model="tiny", alias="best")
        assert run is not None
        return dict(tracker.client.get_run(run).data.tags)

    once, twice = again(), again()
    assert (once["compared.with"], once["verdict"]) == ("", "held")
    assert twice["verdict"] == "held"
    assert twice["data"] == once["data"]
    assert twice["stage.evaluate.fresh"] != once["stage.evaluate.fresh"]
    assert twice["stage.generate.fresh"] != once["stage.generate.fresh"]

    # As if it had been right on every item the last time.
    results = tracker.client.get_run(twice["stage.evaluate.fixed"]).info.artifact_uri
    path = Path(results) / "results.parquet"
    rows = pq.read_table(path).to_pylist()
    assert not any(row["a"] for row in rows)
    pq.write_table(pa.Table.from_pylist([{**row, "a": True} for row in rows], SCHEMA), path)
    for _ in range(2):  # a fall is told until it is mended
        with pytest.raises(Fell, match=r"tiny@best fell: a by 100.0 points \(p = 0.0015\), a_r by 100.0"):
            again()
    with pytest.raises(PercasymError, match="no registered model of tiny has the alias worst"):
        reevaluate(["worst"], ["tiny"], 0, 0.05, {})


def test_a_registered_model_is_measured_by_its_alias(first: Done) -> None:
    summary = json.loads(Path(evaluate(config(test_items=3), "tiny@best")).read_text())
    assert summary["a"]["n"] == 3
    with pytest.raises(PercasymError, match="no registered model 'tiny' with the alias 'worst'"):
        evaluate(config(test_items=3), "tiny@worst")


def test_a_report_is_made_again_from_what_is_there(first: Done) -> None:
    latest = run()
    assert Path(report("tiny")).read_text() == Path(latest.found.report).read_text()
    with pytest.raises(PercasymError, match=r"no finished study called 'large'"):
        report("large")


def test_a_lost_checkpoint_is_trained_again_and_nothing_else(first: Done) -> None:
    client = Tracker.current().client
    lost = arm_folder(first.found)
    weights = (lost / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(lost)
    again = run()
    assert again.ended("done") == {"sft token_mean"}
    assert arm_folder(again.found) != lost
    assert (arm_folder(again.found) / "model" / "model.safetensors").read_bytes() == weights
    baseline = client.get_model_version_by_alias("tiny", "baseline")
    assert arm_folder(again.found) == Path(client.get_run(baseline.run_id).info.artifact_uri)


def arm_folder(outcome: Outcome) -> Path:
    client = Tracker.current().client
    run_id = client.get_run(outcome.run).data.tags["stage.sft.token_mean"]
    return Path(client.get_run(run_id).info.artifact_uri)


BROKEN = """
from percasym.sft.weighting import Weighting


class Broken(Weighting):
    def coefficients(self, s):
        raise ZeroDivisionError("on purpose")
"""


def test_a_data_set_with_responses_is_trained_on_by_recipes_and_a_reward_of_ones_own(
    first: Done, home: Path, tmp_path: Path
) -> None:
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2})
    truths = {
        split: [puzzle.ground_truth(puzzle.item(split, 0, n).instance) for n in range(number)]
        for split, number in {"train_sft": 24, "test": 2}.items()
    }
    source = write_released(
        tmp_path / "released",
        test=[released(truth) for truth in truths["test"]],
        train_sft=[released(truth, answered(truth)) for truth in truths["train_sft"]],
    )
    own = tmp_path / "own.py"
    own.write_text(
        "def short(group, most=9):\n    return [len(r.reasoning) <= most for r in group.responses]\n"
    )
    recipes = [
        f"mine: sft token_mean steps=2 then grpo {own}:short:most=5 steps=1",
        "long: sft token_mean steps=2 then sft ngdiff steps=1",
    ]
    settings = {"data": str(source), "recipes": recipes, "name": "imported", "train_items": 16}
    done = run(**settings)
    assert list(done.found.summaries) == ["base", "mine@1", "mine", "long"]
    assert "ingest" in done.ended("done")
    assert not {name for name in done.endings if name.startswith("generate")}
    assert json.loads(Path(done.found.summaries["base"]).read_text())["a"]["n"] == 2
    assert "the data set&#39;s own responses" in Path(done.found.report).read_text()
    own.rename(tmp_path / "renamed.py")
    again = run(**{**settings, "recipes": [text.replace("own.py", "renamed.py") for text in recipes]})
    assert again.ended("done") <= {"diagnose", "report"}
