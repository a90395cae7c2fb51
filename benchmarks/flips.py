"""Flipped bits: what becomes of one in a finished home, when what it is in is used.

    python benchmarks/flips.py                  1,000 of them, each alone; some minutes

A bit is drawn of all bits of the home's artifacts, records and databases alike. An artifact is used as the
next stage does; a record as the same study does; MLflow's database by listing all that `percasym runs`,
`compare` and a re-evaluation read in it; Prefect's by SQLite's own check, as it holds nothing but what the
UI shows. Each is found (an error, or it is made anew), changes nothing, or changes what is read.
"""

import argparse
import os
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import faults
import record
from places import SETTINGS

from flows.server import prefect_server
from percasym.home import VARIABLE, Home
from percasym.lifecycle.databases import check_database
from percasym.lifecycle.records import read_fields
from percasym.seals import fault

FOUND, NOTHING, SILENT = "found", "changes nothing", "changes what is read"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        home = Home(Path(temporary) / "home")
        with prefect_server(Home(Path(temporary) / "server")) as wait:
            wait()
            said = faults.finish(faults.study(home.root, **SETTINGS))
            assert said.returncode == 0, said.stderr
        os.environ[VARIABLE] = str(home.root)
        places = (home.root / "artifacts", home.results, home.database)
        files = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
        files = [path for path in files if path.is_file() and path.stat().st_size]
        sizes = [path.stat().st_size for path in files]
        before = database_content(home.database, Path(temporary))
        told: dict[str, Counter[str]] = {}
        silent = []
        for number, path in enumerate(rng.choices(files, sizes, k=options.n)):
            data = path.read_bytes()
            flipped = bytearray(data)
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            try:
                kind, outcome = used(home, path, before, Path(temporary))
            finally:
                path.write_bytes(data)
            told.setdefault(kind, Counter())[outcome] += 1
            if outcome == SILENT:
                silent.append(path.relative_to(home.root).as_posix())
            if number % 100 == 99:
                print(number + 1, told, flush=True)
        figures = {"bytes": sum(sizes), "flips": options.n, "seed": options.seed, "by file": told}
        print(record.save("flips", figures | {"silent": silent}))


def used(home: Home, path: Path, before: Any, folder: Path) -> tuple[str, str]:
    """What kind of file it is, and what comes of the flip in it."""
    if path.is_relative_to(home.root / "artifacts"):
        artifact = home.root.joinpath(*path.relative_to(home.root).parts[:3])
        return "artifacts", FOUND if fault(artifact) else SILENT
    if path == home.database:
        try:
            after = database_content(path, folder)
        except Exception:
            return "MLflow's database", FOUND
        return "MLflow's database", NOTHING if after == before else SILENT
    from tasks.stage import Reference

    fields = read_fields(path.read_bytes())
    if not fields:
        return "records", FOUND
    reference = Reference(**fields)
    same = f"{reference.stage}/{reference.key}" == path.relative_to(home.results).as_posix()
    return "records", NOTHING if same and reference.intact() else FOUND


def database_content(database: Path, folder: Path) -> Any:
    """All that is read in MLflow's database, as one value."""
    from mlflow import MlflowClient

    copy = Path(tempfile.mkdtemp(dir=folder)) / "mlflow.db"
    shutil.copy(database, copy)
    if wrong := check_database(copy, 20):
        raise ValueError(wrong)
    client = MlflowClient(f"sqlite:///{copy}")
    content = [
        [experiment.to_dictionary() if hasattr(experiment, "to_dictionary") else dict(experiment)]
        + [run.to_dictionary() for run in client.search_runs([experiment.experiment_id], max_results=1000)]
        for experiment in client.search_experiments()
    ]
    content.append([dict(version) for version in client.search_model_versions()])
    shutil.rmtree(copy.parent)
    return repr(content)


if __name__ == "__main__":
    main()
