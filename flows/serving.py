"""Runs on this machine what Prefect's UI or a schedule starts: a child of `percasym up`.

Runs are children of this process and work in PERCASYM_HOME, by default ./.percasym.
"""

import argparse
import asyncio
import os
import time

from flows.server import START_SECONDS, answers
from percasym.home import Home

LIMIT = 4  # flow runs at a time; those that want a GPU wait for each other besides


async def serve(devices: int, reevaluate: str) -> None:
    """Registers the deployments, then runs what is asked of them until it is interrupted."""
    from prefect.runner import Runner

    from flows.deployments import deployments
    from tasks.devices import available

    # A schedule that stopped with this process would not be made up for.
    runner = Runner(name="percasym", limit=LIMIT, pause_on_shutdown=False)
    available(devices or None)
    for deployment in await deployments(reevaluate):
        await runner.aadd_deployment(deployment)
    Home.current().serving.write_text(str(os.getpid()))
    await runner.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--devices", type=int, default=0, help="GPUs that all flows share; 0: those there are"
    )
    parser.add_argument("--reevaluate", default="", help="cron line or interval, as 6h; empty: never")
    options = parser.parse_args()
    address = os.environ["PREFECT_API_URL"]
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"{address}/health") and time.monotonic() < deadline:
        time.sleep(0.1)
    asyncio.run(serve(options.devices, options.reevaluate))


if __name__ == "__main__":
    main()
