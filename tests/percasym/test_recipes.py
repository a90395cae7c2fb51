"""Recipes as text: what they say, what they share, and what is none."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.presets import load_preset
from percasym.recipes import Model, Phase, Recipe, models, parse_recipe, settings_of

SFT = Phase("sft", "token_mean")


def test_a_chain_is_read_with_its_settings_by_their_types() -> None:
    text = "x:y: sft ngdiff steps=200 train_vision=false  then  grpo outcome credit=span learning_rate=1e-4"
    first = Phase("sft", "ngdiff", (("steps", 200), ("train_vision", False)))
    second = Phase("grpo", "outcome", (("credit", "span"), ("learning_rate", 1e-4)))
    assert parse_recipe(text) == Recipe("x:y", (first, second))


def test_a_path_with_spaces_is_quoted() -> None:
    assert parse_recipe("x: grpo 'my rewards/own.py:short'").phases[0].objective == "my rewards/own.py:short"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sft token_mean", "has no name"),
        ("", "has no name"),
        ("base: sft token_mean", "has no name"),
        ("a b: sft token_mean", "has no name"),
        ("x: ", "no phase"),
        ("x: sft", "no phase"),
        ("x: sft 'token_mean", "no phase"),
        ("x: ppo outcome", "no trainer 'ppo'"),
        ("x: sft token_mean then", "no trainer 'then'|no setting 'then'"),
        ("x: sft token_mean credit=span", "sft has no setting 'credit'"),
        ("x: grpo outcome steps", "grpo has no setting 'steps'"),
        ("x: grpo outcome overrides=a=b", "no setting 'overrides'"),
        ("x: sft token_mean seed=3", "no setting 'seed'"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(PercasymError, match=words) as caught:
        parse_recipe(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_recipe_or_refused(text: str) -> None:
    with suppress(PercasymError):
        assert parse_recipe(text).phases


def test_what_recipes_begin_with_alike_is_trained_once() -> None:
    texts = ["plain: sft token_mean", "rl: sft token_mean then grpo outcome"]
    texts += ["long: sft token_mean then grpo outcome then sft ngdiff then grpo format"]
    made = models(map(parse_recipe, texts))
    assert [(model.name, model.start) for model in made] == [
        ("plain", "base"),
        ("rl", "plain"),
        ("long@3", "rl"),
        ("long", "long@3"),
    ]


def test_a_chain_that_only_another_one_begins_with_has_the_name_of_the_first() -> None:
    texts = ["b: sft token_mean then grpo outcome", "c: sft token_mean then grpo format"]
    assert models(map(parse_recipe, texts)) == [
        Model("b@1", SFT, "base"),
        Model("b", Phase("grpo", "outcome"), "b@1"),
        Model("c", Phase("grpo", "format"), "b@1"),
    ]


@pytest.mark.parametrize("other", ["x: sft ngdiff", "y: sft token_mean"])
def test_each_name_and_each_chain_is_there_once(other: str) -> None:
    with pytest.raises(PercasymError, match="twice"):
        models([parse_recipe("x: sft token_mean"), parse_recipe(other)])


def test_every_setting_of_a_phase_is_one_of_the_study() -> None:
    for trainer in ("sft", "grpo"):
        settings = getattr(load_preset("mini"), trainer)
        assert set(settings_of(trainer)) <= set(type(settings).model_fields)
        assert "steps" in settings_of(trainer)


def test_arms_and_rewards_are_short_for_recipes() -> None:
    short = load_preset("mini", {"arms": ["token_mean", "ngdiff"], "rl_arms": ["outcome"]})
    recipes = ["token_mean: sft token_mean", "ngdiff: sft ngdiff"]
    recipes += ["outcome: sft token_mean then grpo outcome"]
    assert load_preset("mini", {"recipes": recipes}).models == short.models


def test_arms_that_are_set_replace_the_recipes_of_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text('warmup_steps: 1\nrecipes: ["x: sft ngdiff", "y: sft ngdiff then sft pcgrad"]\n')
    assert [model.name for model in load_preset(str(file)).models] == ["x", "y"]
    changed = load_preset(str(file), {"arms": ["dwa"]})
    assert [model.name for model in changed.models] == ["dwa"]


def test_a_phase_changes_its_own_training_alone() -> None:
    config = load_preset("mini", {"recipes": ["x: sft token_mean steps=40 then sft ngdiff batch_size=16"]})
    first, second = (config.of(model.phase) for model in config.models)
    assert (first.sft.steps, second.sft.steps) == (40, 700)
    assert (first.sft.batch_size, second.sft.batch_size) == (8, 16)
    assert config.of(parse_recipe("x: sft token_mean steps=5").phases[0]).sft.warmup_steps == 4
    assert config.sft.steps == 700


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("x: sft adam", "adam"),
        ("x: sft token_mean steps=0", "sft steps=0"),
        ("x: sft token_mean steps=many", "sft steps='many'"),
        ("x: sft token_mean steps=10 warmup_steps=10", "warmup_steps must be less"),
        ("x: sft token_mean batch_size=9", "multiple of micro_batch_size"),
        ("x: grpo wishes", "no reward 'wishes'"),
        ("x: grpo outcome prompts=1000", "at least grpo.prompts"),
        ("x: grpo surrogate:teacher:0.5", "wants rl_teacher"),
        ("x: grpo nowhere.py:mine", "no file 'nowhere.py'"),
    ],
)
def test_a_phase_that_cannot_be_is_refused_before_work_begins(recipe: str, words: str) -> None:
    with pytest.raises(PercasymError, match=words) as caught:
        load_preset("mini", {"recipes": [recipe]})
    assert "\n" not in str(caught.value)


def test_a_model_cannot_be_taught_by_what_is_made_from_it() -> None:
    recipes = ["x: sft token_mean then grpo surrogate:teacher:0.5 then sft ngdiff"]
    with pytest.raises(PercasymError, match="rl_teacher=x cannot teach x@2"):
        load_preset("mini", {"recipes": recipes, "rl_teacher": "x"})
