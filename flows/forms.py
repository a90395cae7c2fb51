"""The flows as a person starts them from the Prefect UI: forms of few flat fields.

A field that is left as it is stands for what the preset says. Every setting of `StudyConfig` can be changed
by a line of `settings`, as after `--set` on the command line, but what a form names has to be allowed by
whoever started the servers (percasym.allowed). The UI shows what the docstrings say.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any, Literal

from prefect import Flow
from prefect.runtime import flow_run
from pydantic import Field

from flows import evaluate as evaluation
from flows import reevaluate as reevaluation
from flows import report as reporting
from flows import study as studying
from flows.sweep import GRID
from percasym.allowed import Names, check, confined
from percasym.config import StudyConfig
from percasym.presets import load_preset, parse_settings

AS_PRESET: Literal["as the preset"] = "as the preset"
Preset = Literal["tiny", "mini", "gpu-mini", "paper"]
Puzzle = Literal["as the preset", "sudoku", "graph_coloring"]
Engine = Literal["as the preset", "transformers", "vllm", "server"]
Natural = Annotated[int, Field(ge=0)]
Points = Annotated[float, Field(ge=0, le=100)]
NONE: list[Any] = []
WATCHED = ["best"]


def _config(preset: str, seed: int, puzzle: str, settings: Sequence[str], **fields: Any) -> StudyConfig:
    """What was filled in, over the preset."""
    chosen = {"puzzle": "" if puzzle == AS_PRESET else puzzle, **fields}
    changes = {field: value for field, value in chosen.items() if value}
    config = load_preset(preset, {**changes, "seed": seed, **parse_settings(settings)})
    config.check_files()
    return config


def _form(run_name: str | Callable[[], str] | None = None) -> Callable[[Callable[..., Any]], Flow[..., Any]]:
    """Makes a flow of a function; deployments show the first line of its docstring."""

    def form(function: Callable[..., Any]) -> Flow[..., Any]:
        @wraps(function)
        def filled_in(*args: Any, **kwargs: Any) -> Any:
            with confined():
                return function(*args, **kwargs)

        says = (function.__doc__ or "").partition("\n")[0]
        return Flow(filled_in, name=function.__name__, description=says, flow_run_name=run_name)

    return form


def _name() -> str:
    filled = flow_run.parameters
    return str(filled.get("name") or filled.get("preset") or "study")


@_form(_name)
def study(
    preset: Preset = "mini",
    name: str = "",
    seed: Natural = 0,
    puzzle: Puzzle = AS_PRESET,
    model: str = "",
    arms: list[str] = NONE,
    rewards: list[str] = NONE,
    recipes: list[str] = NONE,
    train_items: Natural = 0,
    test_items: Natural = 0,
    sft_steps: Natural = 0,
    settings: list[str] = NONE,
) -> studying.Outcome:
    """Post-train one model in several ways, and measure whether it learns to reason more than to see.

    Args:
        preset: mini is two CPU cores and half an hour, gpu-mini one GPU, paper 8 GPUs and the paper's sizes.
        name: What the study is called in MLflow. Empty: as the preset.
        seed: Everything random follows from it.
        puzzle: What the model looks at and solves.
        model: The model before post-training, a folder or a Hub id. Empty: as the preset; mini and gpu-mini
            make a miniature from nothing.
        arms: Losses of fine-tuning, from token_mean, fixed:0.5 (the weight of perception, 0 to 1), ngdiff,
            dwa, uncertainty, pcgrad. None: as the preset.
        rewards: Rewards of reinforcement learning, from outcome, perception_aware:0.5 (the weight of a_p, 0
            to 1), surrogate:agreement:0.5, surrogate:best:0.5. None: as the preset. For no reinforcement
            learning write rl_arms= into the settings.
        recipes: Chains of trainings, in place of losses and rewards, each as "twice: sft ngdiff then sft
            token_mean steps=100 then grpo outcome". None: as losses and rewards say.
        train_items: Puzzles to learn from. 0: as the preset.
        test_items: Puzzles to measure on. 0: as the preset.
        sft_steps: Optimizer steps of fine-tuning, for each arm. 0: as the preset.
        settings: Other settings, each as field=value, such as grpo.steps=100 or puzzle_options.blanks_low=4;
            `percasym presets mini` lists the fields. Files, folders and addresses have to be allowed, by
            `percasym up --allow`.
    """
    fields: dict[str, Any] = {
        "name": name,
        "model": model,
        "arms": arms,
        "rl_arms": rewards,
        "recipes": recipes,
    }
    fields |= {"train_items": train_items, "test_items": test_items, "sft_steps": sft_steps}
    return studying.study.fn(_config(preset, seed, puzzle, settings, **fields))


@_form(_name)
def sweep(
    preset: Preset = "mini",
    name: str = "",
    seed: Natural = 0,
    puzzle: Puzzle = AS_PRESET,
    model: str = "",
    lams: list[float] = GRID,
    alphas: list[float] = NONE,
    settings: list[str] = NONE,
) -> studying.Outcome:
    """Study a grid of weights of perception, in the loss or in the reward: the trade-off curve.

    Args:
        preset: mini is for two CPU cores, gpu-mini for one GPU, paper for 8 GPUs.
        name: What the study is called in MLflow. Empty: as the preset.
        seed: Everything random follows from it.
        puzzle: What the model looks at and solves.
        model: The model before post-training, a folder or a Hub id. Empty: as the preset.
        lams: Weights of the perception loss, from 0 to 1, an arm for each. None: the preset's arms.
        alphas: Weights of a_p in the reward, from 0 to 1, a GRPO for each. None: no such grid.
        settings: Other settings, each as field=value; `percasym presets mini` lists the fields.
    """
    config = _config(preset, seed, puzzle, settings, name=name, model=model)
    return studying.study.fn(config.over(lams, alphas))


@_form("evaluate {model}")
def evaluate(
    model: str,
    preset: Preset = "mini",
    seed: Natural = 0,
    puzzle: Puzzle = AS_PRESET,
    test_items: Natural = 0,
    engine: Engine = AS_PRESET,
    settings: list[str] = NONE,
) -> str:
    """Measure a, a_p and a_r of one model, with nothing trained.

    Args:
        model: A folder, a Hub id, or NAME@ALIAS of a registered model, such as mini@best.
        preset: Whose puzzles it is measured on.
        seed: Of the puzzles.
        puzzle: What the model looks at and solves.
        test_items: Puzzles to measure on. 0: as the preset.
        engine: What generates the responses.
        settings: Other settings, each as field=value; `percasym presets mini` lists the fields.
    """
    check(Names.MODEL, model)
    fields: dict[str, Any] = {"test_items": test_items, "engine": "" if engine == AS_PRESET else engine}
    return evaluation.evaluate.fn(_config(preset, seed, puzzle, settings, **fields), model)


@_form()
def reevaluate(
    aliases: list[str] = WATCHED,
    models: list[str] = NONE,
    test_items: Natural = 0,
    margin: Points = 5.0,
    settings: list[str] = NONE,
) -> Any:
    """Measure registered models again, on their own test items and on fresh ones; fail if one fell.

    Args:
        aliases: Of the versions to measure, such as best, baseline or latest.
        models: Names of registered models, which are those of studies. None: all that there are.
        test_items: Puzzles of each kind. 0: as many as the study of the model had.
        margin: Points, from 0 to 100, by which a, a_p or a_r must have fallen, with p < 0.05, for the run to
            fail.
        settings: Other settings, each as field=value, such as inference.engine=vllm.
    """
    return reevaluation.reevaluate.fn(aliases, models, test_items, margin / 100, parse_settings(settings))


@_form("report {study}")
def report(study: str = "mini") -> str:
    """Write the report of a finished study again, as after a change to its figures.

    Args:
        study: Name of the study; its latest finished run is taken.
    """
    return reporting.report.fn(study)
