"""Settings: presets, changes to them, and what is said about bad ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_model_name
from pydantic import BaseModel, ValidationError

from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.presets import PRESETS, load_preset, parse_settings, preset_text
from percasym.puzzles.base import PuzzleConfig
from percasym.sections import BaseSection, DataSection, EvaluationSection, SFTSection
from percasym.shorthands import SHORTHANDS
from percasym.values import flat


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_study_and_says_what_it_is_for(name: str) -> None:
    assert load_preset(name).name == name
    assert preset_text(name).startswith("# ")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_only_fields_that_exist_and_every_number_that_decides(name: str) -> None:
    fields = yaml.safe_load(preset_text(name))
    assert set(fields) <= set(StudyConfig.model_fields)
    assert "train_items" in fields
    assert {"steps", "learning_rate", "batch_size", "warmup_steps"} <= set(fields["sft"])
    assert {"perception_share", "teacher"} & set(fields)  # how much is caption is a model's own affair


def test_every_setting_is_described() -> None:
    schema = StudyConfig.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        assert [name for name, field in model["properties"].items() if "description" not in field] == []


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The path of every setting."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize("short", SHORTHANDS)
def test_a_shorthand_stands_for_settings_that_there_are(short: str) -> None:
    assert short not in set(StudyConfig.model_fields) - {"miniature"}
    assert set(SHORTHANDS[short]) <= set(settings_of(StudyConfig))


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("sft_steps=77", "sft.steps", 77),
        ("rl_kl=0.01", "grpo.kl", 0.01),
        ("rl_group_size=3", "audit.group_size", 3),
        ("lora_rank=4", "grpo.lora_rank", 4),
        ("hidden_size=64", "miniature.hidden_size", 64),
        ("sft.weight_decay=0.1", "sft.weight_decay", 0.1),
        ("sft.optimizer=muon", "sft.optimizer", "muon"),
        ("grpo.updates=2", "grpo.updates", 2),
        ("grpo.schedule=cosine", "grpo.schedule", "cosine"),
        ("verl.gpu_memory=0.3", "verl.gpu_memory", 0.3),
        ("verl.offload=on", "verl.offload", True),
        ("engine=vllm", "inference.engine", "vllm"),
        ("inference.retries=2", "inference.retries", 2),
        ("inference.context=4096", "inference.context", 4096),
        ("eval_precision=bfloat16", "eval_precision", "bfloat16"),
    ],
)
def test_every_setting_of_a_trainer_and_of_an_engine_can_be_reached(
    text: str, path: str, value: object
) -> None:
    config = load_preset("mini", parse_settings([text]))
    assert flat(config)[path] == value
    others = {name: one for name, one in flat(load_preset("mini")).items() if name != path}
    changed = {name for name, one in others.items() if flat(config)[name] != one}
    assert changed <= set(SHORTHANDS.get(text.partition("=")[0], ()))


def test_groups_of_settings_are_mappings_in_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "sft: {steps: 1e3, learning_rate: .5e-3, train_vision: off}\nlog_every: 3\nhidden_size: 64"
    )
    config = load_preset(str(path))
    assert (config.sft.steps, config.sft.learning_rate, config.sft.train_vision) == (1000, 5e-4, False)
    assert (config.sft.log_every, config.pretrain.log_every, config.miniature.hidden_size) == (3, 3, 64)


def test_a_group_by_its_own_name_goes_before_a_shorthand() -> None:
    assert load_preset("mini", {"sft": {"steps": 50}, "sft_steps": 60}).sft.steps == 50


def test_a_study_that_has_been_is_read_from_what_mlflow_holds_of_it() -> None:
    config = load_preset("mini", {"grpo": {"overrides": ["a=1"]}, "puzzle_options": {"rows": 3}})
    assert StudyConfig.read({name: str(value) for name, value in flat(config).items()}, {}) == config
    old = {"sft_steps": "77", "pretrain_options": "{'blanks_low': 5}", "rl_overrides": "['a=1']", "gone": "1"}
    read = StudyConfig.read({"model": "a/b", "train_vision": "False", **old}, {"sft": {"batch_size": 32}})
    assert (read.sft.steps, read.sft.batch_size, read.sft.train_vision) == (77, 32, False)
    assert (read.pretrain.options, read.grpo.overrides) == ({"blanks_low": 5}, ("a=1",))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("seed=3", {"seed": 3}),
        ("sft.learning_rate=1e-3", {"sft": {"learning_rate": 0.001}}),
        ("learning_rate=1e-3", {"sft": {"learning_rate": 0.001}}),
        ("train_vision=false", {"sft": {"train_vision": False}, "grpo": {"train_vision": False}}),
        ("pretrain.options.rows=2", {"pretrain": {"options": {"rows": 2}}}),
        ("pretrain_options.rows=2", {"pretrain": {"options": {"rows": 2}}}),
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


TEXTS = (
    "off",
    "on",
    "no",
    "007",
    "1.10",
    "2026-11-27",
    "1e-3",
    "null",
    "~",
    "First describe the grid, then solve it.",
    "You are careful: think first.",
    "# Role\nsolver",
    "/data/run, 2/ckpt",
    "prompts/x #1.txt",
    " blanks ",
    "[a, b]",
    "{a: b}",
    "'quoted'",
    "a=b",
    "100 %",
    "&anchor *alias !tag | > ` @",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["system_prompt", "model", "teacher_prompt", "style", "name", "thinking"])
def test_a_text_field_takes_the_text_as_it_stands(field: str, text: str) -> None:
    assert parse_settings([f"{field}={text}"]) == {field: text}


@given(st.text(max_size=40))
def test_any_text_at_all(text: str) -> None:
    assert parse_settings([f"system_prompt={text}"]) == {"system_prompt": text}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("thinking=off", {"thinking": "off"}),
        ("thinking=on", {"thinking": "on"}),
        ("name=007", {"name": "007"}),
        ("name=2026-11-27", {"name": "2026-11-27"}),
        ("name=on", {"name": "on"}),
        ("name=1.10", {"name": "1.10"}),
        ("train_items=1e3", {"train_items": 1000}),
        ("train_items=10_000", {"train_items": 10_000}),
        ('arms=[token_mean, "fixed:0.5"]', {"arms": ["token_mean", "fixed:0.5"]}),
    ],
)
def test_a_setting_and_a_line_of_a_preset_are_read_alike(
    text: str, changed: dict[str, Any], tmp_path: Path
) -> None:
    """A model is named, as thinking is nothing for a miniature."""
    with_model = {"model": "some/model"}
    config = load_preset("mini", {**with_model, **parse_settings([text])})
    path = tmp_path / "mine.yaml"
    field, _, value = text.partition("=")
    lines = [line for line in preset_text("mini").splitlines() if not line.startswith(f"{field}:")]
    path.write_text("\n".join([*lines, f"{field}: {value}"]))
    assert config.model_dump().items() >= changed.items()
    assert load_preset(str(path), with_model) == config


def test_a_preset_may_quote_and_spread_over_lines(tmp_path: Path) -> None:
    text = (
        "model: some/model\nsystem_prompt: |\n  # Role\n  solver: off\npuzzle_options: {rows: 2, cols: '2'}\n"
    )
    lines = [line for line in preset_text("mini").splitlines() if not line.startswith("puzzle_options:")]
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(lines) + "\n" + text)
    config = load_preset(str(path))
    assert config.system_prompt == "# Role\nsolver: off\n"
    assert config.puzzle_options == {"rows": 2, "cols": "2"}  # in quotes it is a text; the puzzle reads it


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("007", 7),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("off", "off"),
        ("1,2", [1, 2]),
        ("[1, 2]", [1, 2]),
        ("a,b", "a,b"),
        ('"3"', "3"),
        ("2026-11-27", "2026-11-27"),
        ("[", "["),
        ("", ""),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_an_option_of_a_puzzle_is_what_it_looks_like(text: str, value: Any) -> None:
    (found,) = parse_settings([f"puzzle_options.x={text}"])["puzzle_options"].values()
    assert (type(found), found) == (type(value), value)


def test_the_options_of_a_puzzle_itself_are_read_by_its_own_types() -> None:
    class Named(PuzzleConfig):
        label: str = ""
        count: int = 0

    texts = ["label=007", "count=007", "style=hard:0.5"]
    assert parse_settings(texts, Named) == {"label": "007", "count": 7, "style": "hard:0.5"}


@pytest.mark.parametrize("settings", [["puzzle_options=5", "puzzle_options.rows=2"], ["seed=1", "seed.x=2"]])
def test_an_option_of_what_has_none_is_told(settings: list[str]) -> None:
    with pytest.raises(PercasymError, match="already"):
        parse_settings(settings)


@pytest.mark.parametrize("content", [b"a: [", b"\t- x: 1", b"a: \xff", b"a: !!python/object:os.system {}"])
def test_a_preset_that_is_no_yaml_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(PercasymError, match=r"mine\.yaml") as raised:
        load_preset(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("line", ["name: ~", "seed: null", "? [a]\n: b", "seed: [1]", "arms: {a: b}"])
def test_a_value_of_another_kind_is_told_in_one_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    lines = [one for one in preset_text("mini").splitlines() if not one.startswith(line.partition(":")[0])]
    path.write_text("\n".join([*lines, line]))
    with pytest.raises(PercasymError) as raised:
        load_preset(str(path))
    assert "\n" not in str(raised.value)


@given(st.text(max_size=12))
def test_a_name_that_is_taken_is_one_for_the_model_registry(name: str) -> None:
    try:
        taken = StudyConfig.model_validate({"name": name}).name == name
    except ValidationError:
        taken = False
    if taken:
        _validate_model_name(name)
        assert not name.startswith("-")


@pytest.mark.parametrize(
    "name", [".", "..", "...", "..a", "-x", "a/b", "a:b", "o'brien", 'a"b', "", "a b", "a\n"]
)
def test_a_name_that_would_fail_later_is_refused_at_once(name: str) -> None:
    with pytest.raises(PercasymError, match=r"^name="):
        load_preset("mini", {"name": name})


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
        ({"sft_steps": 0}, r"^sft\.steps=0: .*greater than or equal to 1$"),
        ({"sft_step": 5}, "^there is no setting 'sft_step'"),
        ({"arms": ["adam"]}, "adam"),
        ({"arms": ["fixed:2"]}, "between 0 and 1"),
        ({"arms": []}, "^arms"),
        ({"arms": ["ngdiff", "ngdiff"]}, "once"),
        ({"rl_arms": ["outcome", "outcome"]}, "once"),
        ({"rl_arms": ["outcome"], "rl_from": "dwa"}, "rl_from=dwa"),
        ({"rl_arms": ["outcome"], "rl_items": 4}, "at least grpo.prompts"),
        ({"rl_arms": ["surrogate:wishes:0.5"]}, "no surrogate"),
        ({"rl_arms": ["surrogate:best:2"]}, "alpha from 0 to 1"),
        ({"rl_arms": ["surrogate:teacher:0.5"]}, "wants rl_teacher"),
        ({"rl_arms": ["surrogate:teacher:0.5"], "rl_teacher": "nowhere"}, "rl_teacher=nowhere"),
        ({"grpo": {"engine": "verl", "optimizer": "muon"}}, "verl trains with adamw"),
        ({"grpo": {"engine": "verl", "lora_rank": 8}}, "all weights are trained"),
        ({"grpo": {"engine": "verl", "credit": "span"}}, "no credit=span"),
        ({"puzzle": "chess"}, "chess"),
        ({"puzzle_options": {"rows": 99}}, "rows"),
        ({"style": "ugly"}, "ugly"),
        ({"learning_rate": "fast"}, r"^sft\.learning_rate='fast'"),
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
    machine = {"workers", "threads", "ranks", "micro_batch_size", "checkpoint_every", "inference", "verl"}
    for section in (DataSection, BaseSection, SFTSection, EvaluationSection):
        assert not machine & set(section.model_fields)
    assert "arms" not in SFTSection.model_fields
    assert "test_items" not in SFTSection.model_fields
    assert "sft" not in BaseSection.model_fields
    assert set(EvaluationSection.model_fields) == {"max_new_tokens", "eval_precision"}
