"""deployments/prefect.yaml, as Prefect reads it. test_team.py deploys it for real."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from flows.deployments import deployments

FILE = Path(__file__).parents[2] / "deployments" / "prefect.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
DEPLOYMENTS = {one["name"]: one for one in CONTENT["deployments"]}


def test_prefect_reads_it_and_leaves_nothing_out() -> None:
    assert len(PrefectYamlModel.model_validate(CONTENT).deployments) == len(CONTENT["deployments"])
    for one in DEPLOYMENTS.values():
        assert set(one) <= set(DeploymentConfig.model_fields)  # the model ignores what it does not know
        for schedule in one.get("schedules", []):
            RawScheduleConfig.model_validate(schedule)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_deployment_is_a_form_with_these_fields(name: str) -> None:
    one = DEPLOYMENTS[name]
    flow = load_flow_from_entrypoint(one["entrypoint"])
    assert name.removesuffix("-gpu") == flow.name
    assert one["work_pool"]["name"] == ("percasym-gpu" if name.endswith("-gpu") else "percasym-cpu")
    fields = parameter_schema(flow).properties
    for field, value in one.get("parameters", {}).items():
        assert value in fields[field].get("enum", [value])


def test_a_team_has_all_that_one_machine_has() -> None:
    assert {one.name for one in asyncio.run(deployments())} <= set(DEPLOYMENTS)


def test_re_evaluations_do_not_pile_up() -> None:
    for name in ("reevaluate", "reevaluate-gpu"):
        assert DEPLOYMENTS[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
        assert [schedule["active"] for schedule in DEPLOYMENTS[name]["schedules"]] == [False]
