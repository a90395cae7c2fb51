"""GPUs that all flows share: a limit on Prefect's server says how many are taken, locks say which ones.

A child that works on a GPU takes a slot of the limit `percasym-devices` for each. The limit is made where
there is none, with as many slots as this machine has GPUs, and raised or lowered by
`prefect global-concurrency-limit update percasym-devices --limit 8`. The server frees the slots of a flow
that was killed within a minute. On the machine itself a child is shown only GPUs that nobody else was given.

A machine without GPUs has a limit of its own, `percasym-cores`, so that its children take no GPU from others.
"""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from percasym.errors import PercasymError
from tasks.locks import stage_lock

GPUS, CORES = "percasym-devices", "percasym-cores"  # names of limits
VISIBLE = "CUDA_VISIBLE_DEVICES"
LEASE = 60.0  # seconds after which the slots of a killed flow are free again
PERIOD = 0.5  # seconds between two looks for a free GPU


@contextmanager
def device_slots(number: int) -> Iterator[dict[str, str]]:
    """Waits for so many devices, and has them to itself inside; yields the environment that shows them.

    Raises:
        PercasymError: there are fewer than that.
    """
    gpus = local_gpus()
    limit = available()
    if number > limit:
        raise PercasymError(
            f"{number} devices are wanted, but the limit {_limit(gpus)} of Prefect's server is {limit}: if "
            f"there are more, `prefect global-concurrency-limit update {_limit(gpus)} --limit {number}`"
        )
    # A server that is away for a while is no reason to end a training.
    slots = concurrency(
        _limit(gpus), number, lease_duration=LEASE, strict=True, raise_on_lease_renewal_failure=False
    )
    with slots, _placed(gpus, min(number, len(gpus))) as mine:
        yield {VISIBLE: ",".join(mine)} if mine else {}


def available(number: int | None = None, name: str = "") -> int:
    """The limit `name`, by default this machine's; made if there is none, set to `number` if one is given."""
    gpus = local_gpus()
    name = name or _limit(gpus)
    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(name).limit
        except ObjectNotFound:
            found = number or len(gpus) or len(os.sched_getaffinity(0))
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=found))
            except ObjectAlreadyExists:  # another flow was faster
                found = client.read_global_concurrency_limit_by_name(name).limit
        if number and number != found:
            client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=number))
            found = number
    return found


def local_gpus() -> list[str]:
    """The GPUs that we may use, as CUDA_VISIBLE_DEVICES names them. To ask torch would take seconds."""
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [name for name in visible.split(",") if name]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number in range(len(list(folder.iterdir())))] if folder.is_dir() else []


def _limit(gpus: Sequence[str]) -> str:
    return GPUS if gpus else CORES


@contextmanager
def _placed(gpus: Sequence[str], number: int) -> Iterator[list[str]]:
    """`number` of the GPUs that nobody else has: all or none, so that no two wait for each other."""
    locks = {name: stage_lock(f"gpu/{platform.node()}/{name}") for name in gpus}
    while True:
        with ExitStack() as held:
            mine: list[str] = []
            for name, lock in locks.items():
                if len(mine) < number:
                    try:
                        held.enter_context(lock.acquire(timeout=0))
                    except Timeout:
                        continue
                    mine.append(name)
            if len(mine) == number:
                yield mine
                return
        time.sleep(PERIOD)
