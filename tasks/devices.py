"""GPUs that all flows share: a limit on Prefect's server, of which every working child takes its part.

The limit is made where there is none, with as many slots as this machine has GPUs, or CPU cores if it has no
GPU; a team sets it: `prefect global-concurrency-limit update percasym-devices --limit 8`. The server frees
the slots of a flow that was killed within a minute.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from percasym.errors import PercasymError

LIMIT = "percasym-devices"
LEASE = 60.0  # seconds after which the slots of a killed flow are free again


@contextmanager
def device_slots(number: int) -> Iterator[None]:
    """Waits for so many devices, and has them to itself inside.

    Raises:
        PercasymError: there are fewer than that.
    """
    limit = available()
    if number > limit:
        raise PercasymError(
            f"{number} devices are wanted, but the limit {LIMIT} of Prefect's server is {limit}: raise it by "
            f"`prefect global-concurrency-limit update {LIMIT} --limit {number}` if there are so many"
        )
    # A server that is away for a while is no reason to end a training.
    with concurrency(LIMIT, number, lease_duration=LEASE, strict=True, raise_on_lease_renewal_failure=False):
        yield


def available(number: int | None = None) -> int:
    """The limit, made if there is none, and set to `number` if one is given."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(LIMIT).limit
        except ObjectNotFound:
            found = number or _devices()
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=found))
            except ObjectAlreadyExists:  # another flow was faster
                found = client.read_global_concurrency_limit_by_name(LIMIT).limit
        if number and number != found:
            client.update_global_concurrency_limit(LIMIT, GlobalConcurrencyLimitUpdate(limit=number))
            found = number
    return found


def _devices() -> int:
    """GPUs of this machine, or else its cores. To ask torch would take seconds."""
    gpus = Path("/proc/driver/nvidia/gpus")
    return len(list(gpus.iterdir())) if gpus.is_dir() else len(os.sched_getaffinity(0))
