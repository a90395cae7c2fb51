"""Settings: presets, changes to them, and what is said about bad ones."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.presets import PRESETS, load_preset, parse_settings, preset_text
from percasym.sections import BaseSection, DataSection, EvaluationSection, SFTSection


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_study_and_says_what_it_is_for(name: str) -> None:
    assert load_preset(name).name == name
    assert preset_text(name).startswith("# ")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_only_fields_that_exist_and_every_number_that_decides(name: str) -> None:
    fields = yaml.safe_load(preset_text(name))
    assert set(fields) <= set(StudyConfig.model_fields)
    assert {"train_items", "sft_steps", "learning_rate", "batch_size"} <= set(fields)
    assert {"perception_share", "teacher"} & set(fields)  # how much is caption is a model's own affair


def test_every_field_is_described() -> None:
    assert [name for name, field in StudyConfig.model_fields.items() if not field.description] == []


def test_the_settings_are_flat() -> None:
    assert "$defs" not in StudyConfig.model_json_schema()


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("seed=3", {"seed": 3}),
        ("learning_rate=1e-3", {"learning_rate": 0.001}),
        ("train_vision=false", {"train_vision": False}),
        ("arms=token_mean,ngdiff", {"arms": ["token_mean", "ngdiff"]}),
        ("arms=fixed:0.5", {"arms": ["fixed:0.5"]}),
        ("style=hard:0.4", {"style": "hard:0.4"}),
        ("model=", {"model": ""}),
        ("model=a=b", {"model": "a=b"}),
        ("puzzle_options.rows=2", {"puzzle_options": {"rows": 2}}),
        ("puzzle_options={rows: 2}", {"puzzle_options": {"rows": 2}}),
    ],
)
def test_a_setting_is_read(text: str, fields: dict[str, Any]) -> None:
    assert parse_settings([text]) == fields


def test_settings_of_one_group_add_up() -> None:
    assert parse_settings(["puzzle_options.rows=2", "puzzle_options.cols=3"]) == {
        "puzzle_options": {"rows": 2, "cols": 3}
    }


def test_one_option_of_a_preset_changes_and_the_others_stay() -> None:
    options = load_preset("mini", {"puzzle_options": {"cols": 3}, "side": 96}).puzzle_options
    assert (options["rows"], options["cols"]) == (load_preset("mini").puzzle_options["rows"], 3)


def test_another_puzzle_does_not_get_the_options_of_the_presets_own() -> None:
    assert load_preset("mini", {"puzzle": "graph_coloring"}).puzzle_options == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sft_steps": 0}, "^sft_steps=0: .*greater than or equal to 1$"),
        ({"sft_step": 5}, "^there is no setting 'sft_step'"),
        ({"arms": ["adam"]}, "adam"),
        ({"arms": ["fixed:2"]}, "between 0 and 1"),
        ({"arms": []}, "^arms"),
        ({"arms": ["ngdiff", "ngdiff"]}, "once"),
        ({"rl_arms": ["outcome", "outcome"]}, "once"),
        ({"rl_arms": ["outcome"], "rl_from": "dwa"}, "rl_from=dwa"),
        ({"rl_arms": ["outcome"], "rl_items": 4}, "at least rl_prompts"),
        ({"rl_arms": ["surrogate:wishes:0.5"]}, "no surrogate"),
        ({"rl_arms": ["surrogate:best:2"]}, "alpha from 0 to 1"),
        ({"rl_arms": ["surrogate:teacher:0.5"]}, "wants rl_teacher"),
        ({"rl_arms": ["surrogate:teacher:0.5"], "rl_teacher": "nowhere"}, "rl_teacher=nowhere"),
        ({"puzzle": "chess"}, "chess"),
        ({"puzzle_options": {"rows": 99}}, "rows"),
        ({"style": "ugly"}, "ugly"),
        ({"learning_rate": "fast"}, "^learning_rate='fast'"),
        ({"batch_size": 16, "micro_batch_size": 3}, "multiple"),
        ({"warmup_steps": 10_000}, "warmup_steps"),
        ({"name": "a/b"}, "^name='a/b'"),
    ],
)
def test_a_bad_setting_is_told_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PercasymError, match=message) as raised:
        load_preset("mini", changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["seed", "=3", ""])
def test_a_setting_without_a_value_is_told(text: str) -> None:
    with pytest.raises(PercasymError, match="write field=value"):
        parse_settings([text])


def test_a_file_is_a_preset_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(preset_text("mini") + "\nseed: 5\n")
    assert load_preset(str(path)).seed == 5


@pytest.mark.parametrize("name", ["maxi", "missing.yaml"])
def test_a_preset_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(PercasymError, match=name):
        load_preset(name)


def test_a_file_that_is_no_mapping_is_told(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(PercasymError, match="holds no settings"):
        load_preset(str(path))


def test_a_sweep_replaces_the_fixed_weights_and_keeps_the_rest() -> None:
    config = load_preset("mini", {"arms": ["token_mean", "fixed:0.5", "ngdiff"]})
    swept = config.over([0.9, 0.1, 0.1])
    assert swept.arms == ["token_mean", "ngdiff", "fixed:0.1", "fixed:0.9"]
    assert swept.rl_arms == []
    swept = config.over(alphas=[0.8, 0.2])
    assert swept.arms == config.arms
    assert swept.rl_arms == ["outcome", "perception_aware:0.2", "perception_aware:0.8"]


def test_an_empty_list_of_rewards_is_no_reinforcement_learning() -> None:
    config = load_preset("mini", parse_settings(["rl_arms=", "arms=ngdiff"]))
    assert config.rl_arms == []
    assert config.arms == ["ngdiff"]


def test_no_stage_sees_how_the_machine_is_used_or_what_other_stages_are_told() -> None:
    """What is in a stage's section is in its key: a field too many repeats work for nothing."""
    machine = {"workers", "threads", "ranks", "micro_batch_size", "checkpoint_every", "eval_batch_size"}
    for section in (DataSection, BaseSection, SFTSection, EvaluationSection):
        assert not machine & set(section.model_fields)
    assert "arms" not in SFTSection.model_fields
    assert "test_items" not in SFTSection.model_fields
    assert "sft_steps" not in BaseSection.model_fields
    assert set(EvaluationSection.model_fields) == {"max_new_tokens"}
