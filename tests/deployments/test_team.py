"""A study on the servers of a team: PostgreSQL, Prefect, MLflow, an S3 store, and a worker of a work pool."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fixtures.team import BUCKET, LOGIN, Team, team
from fixtures.tiny import form
from mlflow import MlflowClient

from flows import forms

# A busy machine is no failure; and the tests go on one from the other, so one worker runs them all.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200), pytest.mark.xdist_group("team")]

STUDY_SECONDS = 900.0
STAGES = {"generate", "distill", "base", "sft token_mean", "evaluate base", "evaluate token_mean"}
STAGES |= {"diagnose", "report"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team(tmp_path_factory.mktemp("team")) as started:
        yield started


@pytest.fixture(scope="module")
def first(servers: Team) -> dict[str, Any]:
    """The flow run of a study that nobody has done before."""
    return servers.finished(servers.queue("study/study", form("tiny")), STUDY_SECONDS)


@pytest.fixture(scope="module")
def mlflow(servers: Team) -> MlflowClient:
    return MlflowClient(servers.mlflow_entry)


def endings(servers: Team, run: str) -> dict[str, str]:
    """How each stage of a flow run ended."""
    tasks = servers.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return {task["name"]: task["state"]["name"] for task in tasks if task["name"] in STAGES}


def keys(servers: Team) -> set[str]:
    pages = servers.store().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def test_deployments_wait_in_their_pools(servers: Team) -> None:
    found = {one["name"]: one for one in servers.ask("deployments/filter", {})}
    assert {one["work_pool_name"] for one in found.values()} == {"percasym-cpu", "percasym-gpu"}
    assert found["study"]["entrypoint"] == "flows.forms.study"
    assert found["study-gpu"]["parameters"]["preset"] == "gpu-mini"
    assert found["study-gpu"]["description"] == forms.study.description
    assert "preset" in found["study"]["parameter_openapi_schema"]["properties"]
    alone = found["reevaluate"]
    assert alone["global_concurrency_limit"]["limit"] == 1
    assert alone["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert [schedule["active"] for schedule in alone["schedules"]] == [False]
    limits = servers.ask("v2/concurrency_limits/filter", {"limit": 50})
    assert {one["name"]: one["limit"] for one in limits}["percasym-devices"] == 2


def test_setting_up_again_changes_nothing(servers: Team) -> None:
    def known() -> set[str]:
        pools = servers.ask("work_pools/filter", {})
        return {one["id"] for one in [*pools, *servers.ask("deployments/filter", {})]}

    before = known()
    deployment = servers.deployment("reevaluate/reevaluate")
    switch = f"deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
    servers.ask(switch, {"active": True}, "PATCH")
    servers.run("deployments/setup.py")
    assert known() == before
    again = servers.deployment("reevaluate/reevaluate")["schedules"]
    assert [schedule["active"] for schedule in again] == [False]  # as docs/deploying.md warns


def test_nobody_gets_in_without_the_login(servers: Team) -> None:
    assert (
        httpx.post(f"{servers.api}/deployments/filter", json={}, headers=servers.token()).status_code == 401
    )
    search = f"{servers.mlflow_address}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(search).status_code == 401
    assert httpx.get(search, auth=LOGIN).status_code == 200
    assert httpx.get(search, auth=LOGIN, headers={"origin": "http://foreign.example"}).status_code == 403


def test_a_worker_completes_a_study(servers: Team, first: dict[str, Any]) -> None:
    assert first["state"]["type"] == "COMPLETED", first["state"]["message"]
    assert endings(servers, first["id"]) == dict.fromkeys(STAGES, "Completed")


def test_its_artifacts_are_in_the_store_and_its_runs_in_mlflow(
    servers: Team, first: dict[str, Any], mlflow: MlflowClient
) -> None:
    experiment = mlflow.get_experiment_by_name("percasym")
    assert experiment is not None
    (study,) = mlflow.search_runs([experiment.experiment_id], "tags.stage = 'study'")
    assert study.info.status == "FINISHED"
    assert "token_mean/a" in study.data.metrics
    stored = keys(servers)
    for stage in STAGES:
        run = mlflow.get_run(study.data.tags[f"stage.{stage.replace(' ', '.')}"])
        prefix = run.info.artifact_uri.removeprefix(f"s3://{BUCKET}/")
        assert any(key.startswith(f"{prefix}/") for key in stored), stage
    report = mlflow.get_run(study.data.tags["stage.report"])
    assert f"{report.info.artifact_uri.removeprefix(f's3://{BUCKET}/')}/report.html" in stored
    assert mlflow.get_model_version_by_alias("tiny", "baseline").source.startswith("s3://")


def test_mlflow_shows_the_report_to_a_browser(
    servers: Team, first: dict[str, Any], mlflow: MlflowClient
) -> None:
    experiment = mlflow.get_experiment_by_name("percasym")
    assert experiment is not None
    (report,) = mlflow.search_runs([experiment.experiment_id], "tags.stage = 'report'")
    page = httpx.get(
        f"{servers.mlflow_entry}/get-artifact",
        params={"path": "report.html", "run_uuid": report.info.run_id},
        timeout=60,
    )
    assert page.status_code == 200
    assert "The teacher is a solver" in page.text


def test_the_same_study_again_finds_everything_done(servers: Team, first: dict[str, Any]) -> None:
    before = keys(servers)
    again = servers.finished(servers.queue("study/study", form("tiny")), STUDY_SECONDS)
    assert again["state"]["type"] == "COMPLETED", again["state"]["message"]
    assert endings(servers, again["id"]) == dict.fromkeys(STAGES, "Cached")
    assert keys(servers) == before


def test_no_secret_is_told(servers: Team, first: dict[str, Any]) -> None:
    told = "".join(log.read_text(errors="replace") for log in servers.logs.iterdir())
    told += str(servers.ask("logs/filter", {"limit": 200})) + str(servers.ask("flow_runs/filter", {}))
    told += str(servers.ask("artifacts/filter", {}))
    assert not re.findall(r"planted-\w+", told)


@pytest.mark.parametrize("name", ["postgres", "prefect", "mlflow"])
def test_what_was_killed_comes_back_with_its_data(servers: Team, first: dict[str, Any], name: str) -> None:
    server = getattr(servers, name)
    server.kill()
    server.start()
    if name == "mlflow":
        client = MlflowClient(servers.mlflow_entry)
        assert client.get_experiment_by_name("percasym") is not None
    else:
        assert servers.finished(first["id"], 60.0)["state"]["type"] == "COMPLETED"
