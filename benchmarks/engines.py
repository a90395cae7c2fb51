"""Items per second of an evaluation: one by one, in batches as ours, with vLLM, and with vLLM's server.

    make study test-vllm && python benchmarks/engines.py

512 items of 4x4 Sudokus, end to end and from the right caption, by the token-mean checkpoint of the latest
study `mini`. The time is that of the responses, without the start of an engine, which is told apart. One by
one only the first 32 items are measured. Each engine has a process of its own. Beside the time stands the
share of responses whose scores differ from those of our batches.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import record

from percasym.datasets import generate_rows, read_split, write_dataset
from percasym.engines import Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.errors import PercasymError
from percasym.evaluation import COLUMNS, evaluate
from percasym.home import DEFAULT, VARIABLE
from percasym.metrics import summarise, with_causes
from percasym.presets import load_preset
from percasym.tracking import Tracker, fetch

ITEMS, ALONE = 512, 32
ENGINES: dict[str, dict[str, Any]] = {
    "transformers, one by one": {"batch_size": 1},
    "transformers, in batches": {"batch_size": 128},
    "vllm": {"engine": "vllm", "batch_size": 128, "context": 1024},
    "vllm's server": {"engine": "server", "batch_size": 128, "context": 1024},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", default=DEFAULT, help="where `make study` has run")
    parser.add_argument("--without", nargs="*", default=[], choices=["vllm", "vllm's server"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only", nargs=4, metavar=("ENGINE", "MODEL", "DATA", "OUT"), help="used by the program itself"
    )
    options = parser.parse_args()
    if options.only:
        name, checkpoint, dataset, out = options.only
        Path(out).write_text(json.dumps(measure(name, checkpoint, dataset, options.threads)))
        return
    names = [name for name in ENGINES if name not in options.without]
    os.environ[VARIABLE] = options.home
    preset = load_preset("mini")
    uri = Tracker.current().latest(preset.name, "sft.token_mean")
    if uri is None:
        raise PercasymError(f"there is no finished study {preset.name!r} in {options.home}: run `make study`")
    with tempfile.TemporaryDirectory() as folder:
        model = fetch(uri, Path(folder) / "fetched") / "model"
        data = Path(folder) / "data"
        puzzle = preset.load_puzzle(preset.style)
        write_dataset(data, {"test": generate_rows(puzzle, "test", preset.seed, ITEMS)})
        figures, scores = {}, {}
        for name in names:
            command = [sys.executable, __file__, "--threads", str(options.threads)]
            command += ["--only", name, str(model), str(data), str(out := Path(folder) / "out.json")]
            subprocess.run(command, stdout=sys.stderr, check=True)
            figures[name] = json.loads(out.read_text())
            scores[name] = figures[name].pop("scores")
            print(name, figures[name], flush=True)
    ours = scores["transformers, in batches"]
    alone = figures["transformers, one by one"]["items_per_s"]
    for name in names:
        figures[name]["times_one_by_one"] = figures[name]["items_per_s"] / alone
        other = [key for key, score in scores[name].items() if score != ours[key]]
        figures[name]["scores_differ"] = len(other) / len(scores[name])
        print("{:26}{items_per_s:8.2f} items/s, {times_one_by_one:.1f} times".format(name, **figures[name]))
    print(record.save("engines", figures))


def measure(name: str, model: str, data: str, threads: int) -> dict[str, Any]:
    """One engine; the first few items warm it up and are not timed."""
    config = EngineConfig(model=model, threads=threads, **ENGINES[name])
    items = ALONE if config.batch_size == 1 else ITEMS
    rows = list(islice(read_split(data, "test", COLUMNS), items))
    sampling = Sampling(max_tokens=load_preset("mini").max_new_tokens)
    began = time.perf_counter()
    with open_engine(config) as engine:
        list(evaluate(engine, rows[:2], sampling))
        started = time.perf_counter()
        found = list(evaluate(engine, rows, sampling))
        seconds = time.perf_counter() - started
    summary = summarise(with_causes(found))
    return {
        "items": items,
        "threads": threads,
        "start_s": started - began,
        "seconds": seconds,
        "items_per_s": items / seconds,
        "tokens_per_s": sum(row["tokens"] or 0 for row in found) / seconds,
        "scores": {
            f"{row['mode']}/{row['id']}": [row["a"], row["a_p"], row["a_p_partial"], row["cause"]]
            for row in with_causes(found)
        },
        **{figure: summary[figure].value for figure in ("a", "a_p", "a_r") if summary[figure]},
    }


if __name__ == "__main__":
    main()
