"""Re-evaluation on a schedule: does it tell a model that has become worse, and keep silent about others?

    make study && python benchmarks/watch.py --home .percasym

In a copy of the home: `percasym up --reevaluate 1m` is left alone until three re-evaluations of mini@best
have ended; after the second, noise is added to the weights. And in another copy 20 re-evaluations in which
nothing has changed: a model that responds greedily answers its items as before, and nothing may have fallen.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

sys.path.insert(0, str(record.HERE.parent / "tests"))

from fixtures.up import running_up

from flows.server import prefect_server
from percasym.home import VARIABLE, Home

MODEL, ALIAS = "mini", "best"
NOISE = 0.1  # of the standard deviation of each weight tensor
ITEMS = 100  # of each kind, in a repetition


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, default=Path(".percasym"), help="where `make study` has run")
    parser.add_argument("--repetitions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "schedule": scheduled(copied(options.home, Path(folder) / "schedule")),
            "nothing changed": unchanged(copied(options.home, Path(folder) / "still"), options.repetitions),
        }
    print(figures)
    print(record.save("watch", figures))


def scheduled(home: Path) -> list[dict[str, Any]]:
    """What three re-evaluations said that a schedule started, the third of them of a worse model."""
    found: dict[str, dict[str, Any]] = {}
    with running_up(home, "--reevaluate", "1m") as up:
        deployment = up.api("GET", "/deployments/name/reevaluate/reevaluate")["id"]
        wanted = {
            "flow_runs": {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ENDED}}},
            "sort": "START_TIME_ASC",
        }
        while len(found) < 3:
            time.sleep(1)
            for run in up.api("POST", "/flow_runs/filter", wanted):
                if run["id"] not in found:
                    said = {"state": run["state_name"], "message": run["state"]["message"]}
                    found[run["id"]] = said
                    print(said, flush=True)
                    if len(found) == 2:
                        spoil(home)
    first, second, third = found.values()
    assert (first["state"], second["state"], third["state"]) == ("Completed", "Completed", "Failed"), found
    return list(found.values())


ENDED = ["COMPLETED", "FAILED"]


def spoil(home: Path) -> None:
    """Adds noise to the weights of the registered model."""
    import torch
    from safetensors.torch import load_file, save_file

    os.environ[VARIABLE] = str(home)
    from percasym.tracking import Tracker

    path = Tracker.current().version(MODEL, ALIAS).checkpoint / "model.safetensors"
    rng = torch.Generator().manual_seed(0)
    weights = {
        name: tensor + NOISE * tensor.std() * torch.randn(tensor.shape, generator=rng)
        for name, tensor in load_file(path).items()
    }
    save_file(weights, path, {"format": "pt"})


def unchanged(home: Path, repetitions: int) -> dict[str, Any]:
    """Of so many re-evaluations: in how many something fell, and what it was on fresh items."""
    os.environ[VARIABLE] = str(home)
    with prefect_server(Home(home)) as wait:
        wait()
        from flows.reevaluate import Fell, reevaluate
        from percasym.tracking import Tracker

        fell = 0
        for number in range(repetitions):
            try:
                reevaluate([ALIAS], [MODEL], ITEMS, 0.05, {})
            except Fell as error:
                print(error, flush=True)
                fell += 1
            print(number + 1, flush=True)
        tracker = Tracker.current()
        runs = tracker.client.search_runs([tracker.experiment], "tags.stage = 'reevaluation'")
        fresh = [run.data.metrics["fresh/a"] for run in runs[:repetitions]]
    return {
        "repetitions": repetitions,
        "items": ITEMS,
        "false alarms": fell,
        "a on fresh items, lowest and highest": [min(fresh), max(fresh)],
    }


def copied(home: Path, target: Path) -> Path:
    from percasym.lifecycle.backup import back_up
    from percasym.lifecycle.restoring import restore

    archive = target.with_suffix(".tar")
    back_up(Home(home.resolve()), archive)
    restore(archive, Home(target))
    return target


if __name__ == "__main__":
    main()
