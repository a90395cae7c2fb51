"""What the Prefect UI offers: forms that a person can fill in without reading code, and schedules."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.events.schemas.automations import AutomationCore

from flows import forms
from flows.deployments import deployments, parse_schedule
from flows.reevaluate import FELL
from percasym.errors import PercasymError
from percasym.presets import load_preset

KINDS = {"string", "integer", "number", "array"}


@pytest.fixture(scope="module")
def offered() -> dict[str, Any]:
    return {deployment.name: deployment for deployment in asyncio.run(deployments("6h"))}


def test_every_flow_is_offered_with_what_it_does(offered: dict[str, Any]) -> None:
    assert set(offered) == {"study", "sweep", "evaluate", "reevaluate", "report"}
    for deployment in offered.values():
        assert deployment.description
        assert "Args" not in deployment.description
        assert deployment.tags


def test_fields_are_flat_and_each_says_what_it_is(offered: dict[str, Any]) -> None:
    for name, deployment in offered.items():
        schema = deployment._parameter_openapi_schema
        required = schema.required
        assert required == (["model"] if name == "evaluate" else [])
        for field, shown in schema.properties.items():
            assert shown["type"] in KINDS, (name, field)  # no unions, no objects
            assert len(shown["description"]) > 10, (name, field)
            assert "default" in shown or field in required


def test_reevaluation_is_scheduled_and_never_overlaps(offered: dict[str, Any]) -> None:
    one = offered["reevaluate"]
    assert one.schedules[0].schedule.interval == timedelta(hours=6)
    assert one.concurrency_limit == 1
    assert one.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert all(not deployment.schedules for name, deployment in offered.items() if name != "reevaluate")


@given(st.integers(1, 1000), st.sampled_from("mhd"))
def test_intervals(number: int, unit: str) -> None:
    seconds = {"m": 60, "h": 3600, "d": 86400}[unit]
    assert parse_schedule(f"{number}{unit}").interval == timedelta(seconds=number * seconds)


@pytest.mark.parametrize("text", ["0h", "often", "6 hours", "* * *", "61 * * * *", "-1h"])
def test_other_schedules_are_one_line(text: str) -> None:
    with pytest.raises(PercasymError, match="is no schedule: write an interval as 6h, or a cron line"):
        parse_schedule(text)
    assert parse_schedule("0 3 * * *").cron == "0 3 * * *"


def test_what_is_left_empty_is_as_the_preset() -> None:
    assert forms._config("mini", 0, forms.AS_PRESET, [], name="", arms=[], test_items=0) == load_preset(
        "mini"
    )
    config = forms._config(
        "mini", 3, "graph_coloring", ["sft.steps=900", "rl_arms="], arms=["ngdiff"], sft_steps=400
    )
    assert (config.seed, config.puzzle, config.arms, config.rl_arms) == (3, "graph_coloring", ["ngdiff"], [])
    assert config.sft.steps == 900  # settings come last


def test_the_automation_of_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "daily-use.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    fields = yaml.safe_load(block.replace("ID_OF_A_NOTIFICATION_BLOCK", str(uuid4())))
    (automation,) = (AutomationCore.model_validate(one) for one in fields["automations"])
    assert automation.trigger.expect == {FELL}
