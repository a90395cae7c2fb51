"""Many flow runs queued at once on the servers of a team: do all of them end, and what does a flow cost?

    python benchmarks/load.py --runs 200 --limit 4

PostgreSQL, Prefect's server, MLflow's server, an S3 store and one worker run on this machine, as in
deployments/compose.yaml, and let in only who has their passwords (tests/fixtures/team.py). A tiny study is
done once; then it is queued again and again, so that every stage is found in the cache, and all the time that
passes is what a flow adds to its stages: a process that starts and imports, states that are written, keys
that are computed, a run in MLflow.
The worker runs `--limit` flows at a time, as those of deployments/compose.yaml do. (A work pool's own limit
is a loose one in Prefect 3.7: its server counts what runs, passes over a run that is just being started, and
hands out the next, so that one too many may begin.) Times are between the states that Prefect's server wrote
down.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import record

sys.path.insert(0, str(record.HERE.parent / "tests"))

from fixtures.team import Team, team
from fixtures.tiny import form

DEPLOYMENT = "study/study"
ALL_SECONDS = 3600.0  # all of them
PERCENTILES = (50, 90, 99, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--limit", type=int, default=4, help="flow runs at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, team(Path(folder), limit=options.limit) as servers:
        figures = measure(servers, options.runs, options.limit)
    for name, value in figures.items():
        print(f"{name:60}{value}")
    print(record.save("load", figures))


def measure(servers: Team, runs: int, limit: int) -> dict[str, Any]:
    """The figures, after all runs have ended.

    Raises:
        RuntimeError: a run did not complete, ran twice, did a stage again, or too many went on at once.
    """
    parameters = form("load")
    first = servers.finished(servers.queue(DEPLOYMENT, parameters), ALL_SECONDS)
    stages = stages_done(servers)
    start = time.monotonic()
    queued = [servers.queue(DEPLOYMENT, parameters) for _ in range(runs)]
    took = time.monotonic() - start
    for number, run in enumerate(queued, 1):
        servers.finished(run, ALL_SECONDS)
        print(f"\r{number} of {runs}", end="", file=sys.stderr, flush=True)
    total = time.monotonic() - start
    print(file=sys.stderr)

    histories = {run: history(servers, run) for run in queued}
    ended = Counter(states[-1][0] for states in histories.values())
    started = Counter(sum(name == "RUNNING" for name, _ in states) for states in histories.values())
    again = stages_done(servers) - stages
    together = at_once(histories)
    if ended != {"COMPLETED": runs} or started != {1: runs} or again or together > limit:
        raise RuntimeError(
            f"of {runs} runs, by their last state {dict(ended)}, by how often they started {dict(started)}; "
            f"{again} stages done again; {together} runs at once where {limit} were allowed"
        )
    spans = {run: dict(states) for run, states in histories.items()}
    return {
        "runs, all completed, each started once, no stage done again": runs,
        "runs at once, at most (allowed)": f"{together} ({limit})",
        "seconds to queue all of them": round(took, 1),
        "seconds until the last had ended": round(total, 1),
        "runs per minute": round(60 * runs / total, 1),
        "first run, nothing cached, seconds": round(first["total_run_time"], 1),
        "of that, with no stage at work": round(first["total_run_time"] - at_work(servers, first["id"]), 1),
        **{
            f"{name}, seconds: p50, p90, p99, most": [
                round(float(value), 1)
                for value in np.percentile([after(s, a, b) for s in spans.values()], PERCENTILES)
            ]
            for name, a, b in (
                ("a flow adds to its stages, its process included", "PENDING", "COMPLETED"),
                ("of that, until its process has started", "PENDING", "RUNNING"),
                ("of that, in the flow", "RUNNING", "COMPLETED"),
            )
        },
    }


def history(servers: Team, run: str) -> list[tuple[str, float]]:
    """The states of a flow run in order, and when they began."""
    states = servers.ask(f"flow_run_states/?flow_run_id={run}", method="GET")
    return sorted(
        ((state["type"], datetime.fromisoformat(state["timestamp"]).timestamp()) for state in states),
        key=lambda state: state[1],
    )


def after(states: dict[str, float], start: str, end: str) -> float:
    return states[end] - states[start]


def at_once(histories: dict[str, list[tuple[str, float]]]) -> int:
    """How many runs were in their processes at the same time, at most."""
    moments = []
    for states in histories.values():
        times = dict(states)
        moments += [(times["RUNNING"], 1), (states[-1][1], -1)]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def at_work(servers: Team, run: str) -> float:
    """Seconds in which at least one task of a flow run was at work."""
    tasks = servers.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    spans = sorted(
        tuple(datetime.fromisoformat(task[moment]).timestamp() for moment in ("start_time", "end_time"))
        for task in tasks
        if task["start_time"] and task["end_time"]
    )
    seconds = latest = 0.0
    for start, end in spans:
        seconds += max(0.0, end - max(start, latest))
        latest = max(latest, end)
    return seconds


def stages_done(servers: Team) -> int:
    """Runs of stages that MLflow knows."""
    from mlflow import MlflowClient

    client = MlflowClient(servers.mlflow_entry)
    experiment = client.get_experiment_by_name("percasym")
    assert experiment is not None
    return len(client.search_runs([experiment.experiment_id], "tags.stage != 'study'", max_results=50_000))


if __name__ == "__main__":
    main()
