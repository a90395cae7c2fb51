"""A re-evaluation that was missed is made up for once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Completed, Running

from flows.deployments import deployments
from flows.reevaluate import SKIPPED, _caught_up

pytestmark = pytest.mark.usefixtures("prefect_server")


async def missed() -> list[FlowRun]:
    """Runs that a schedule made for the last minutes, in which nobody was there to begin them."""
    now = datetime.now(UTC)
    (deployment,) = [one for one in await deployments("1m") if one.name == "reevaluate"]
    deployment_id = await deployment.apply()
    async with get_client() as client:
        body = {"start_time": str(now - timedelta(minutes=5)), "end_time": str(now), "min_runs": 3}
        await client._client.post(f"/deployments/{deployment_id}/schedule", json=body)
        return [
            run
            for run in await client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_ASC)
            if run.deployment_id == deployment_id and run.auto_scheduled
        ]


def ended(run: UUID, name: str | None = None) -> None:
    """Begins and ends a run now."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Running(), force=True)
        client.set_flow_run_state(run, Completed(name=name), force=True)


def test_the_first_late_run_stands_for_all_that_were_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third, *_ = asyncio.run(missed())
    assert second.expected_start_time < datetime.now(UTC)

    def skipped(run: FlowRun) -> str | None:
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(run.id))
        return _caught_up()

    assert skipped(first) is None
    ended(first.id, SKIPPED)  # one that was skipped itself stands for nothing
    assert skipped(second) is None
    ended(second.id)
    assert skipped(third) == second.name


def test_a_run_that_somebody_starts_is_never_skipped() -> None:
    assert _caught_up() is None
