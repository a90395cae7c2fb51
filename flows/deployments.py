"""The flows as deployments of one machine: what `percasym up` offers in the Prefect UI.

For work pools of a team, deployments/prefect.yaml says the same.
"""

import datetime
import re
from typing import Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from flows import forms
from percasym.errors import PercasymError

UNITS = {"m": "minutes", "h": "hours", "d": "days"}

# A re-evaluation that is due while another one runs would only find the same.
ALONE = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


async def deployments(reevaluate: str = "") -> list[RunnerDeployment]:
    """One for each form.

    Args:
        reevaluate: when registered models are measured again: a cron line, or an interval such as 6h; empty:
            when somebody starts it.

    Raises:
        PercasymError: neither a cron line nor an interval.
    """
    schedule = parse_schedule(reevaluate) if reevaluate else None
    more: dict[str, dict[str, Any]] = {
        "study": {"tags": ["training"]},
        "sweep": {"tags": ["training"]},
        "evaluate": {"tags": ["measurement"]},
        "reevaluate": {"tags": ["measurement"], "schedule": schedule, "concurrency_limit": ALONE},
        "report": {"tags": ["report"]},
    }
    flows = (forms.study, forms.sweep, forms.evaluate, forms.reevaluate, forms.report)
    return [
        await flow.ato_deployment(flow.name, entrypoint_type=EntrypointType.MODULE_PATH, **more[flow.name])
        for flow in flows
    ]


def parse_schedule(text: str) -> Schedule:
    """A cron line in UTC, or an interval in minutes, hours or days: 30m, 6h, 1d.

    Raises:
        PercasymError: it is neither.
    """
    if match := re.fullmatch(r"(\d+)([mhd])", text.strip()):
        number, unit = match.groups()
        if int(number):
            return Interval(datetime.timedelta(**{UNITS[unit]: int(number)}))
    try:
        return Cron(text, timezone="UTC")
    except ValueError:
        raise PercasymError(
            f"{text!r} is no schedule: write an interval as 6h, or a cron line as '0 3 * * *'"
        ) from None
