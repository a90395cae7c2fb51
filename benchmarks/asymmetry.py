"""The paper's claims on the miniature, over seeds.

    python benchmarks/asymmetry.py                                  both puzzles, three seeds
    python benchmarks/asymmetry.py --puzzles sudoku --seeds 0,1     less
    python benchmarks/asymmetry.py --strengths 0.4,0.6,0.8          gains against the difficulty of the images

The claims: SFT teaches reasoning more than perception, and reweighting its loss repairs that.

Each seed is a study of its own from the preset `mini`: other puzzles in every split, another base model,
another order of training. So differences are over (seed, item) pairs on the test split, and beside each
interval stand the figures of the single seeds: a bootstrap over items knows nothing of how training varies.
Stages that are done already are not repeated: a run that was stopped goes on.
"""

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import record
from matplotlib.figure import Figure

from flows.server import prefect_server
from percasym.config import load_preset
from percasym.home import VARIABLE, Home
from percasym.metrics import as_json, bootstrap, compare, summarise

ROOT = Path(__file__).parent.parent
METRICS = ("a", "a_p", "a_r")
BASELINE = "token_mean"

# The preset `mini` is of Sudokus; these settings make it one of graphs.
PUZZLES: dict[str, dict[str, Any]] = {
    "sudoku": {},
    "graph_coloring": {
        "puzzle": "graph_coloring",
        "puzzle_options": {"vertices_low": 6, "vertices_high": 6, "edges_low": 6, "edges_high": 9},
        # Chosen on validation items: the token mean of seed 0 ends with .22 in a_p and .94 in a_r.
        "style": "hard:0.3",
    },
}

Rows = list[Any]  # of metrics.Row, read from parquet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--puzzles", default="sudoku,graph_coloring")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--strengths", help="strengths of the style `hard`; measured on the first seed's studies"
    )
    parser.add_argument("--home", default=".percasym/asymmetry", type=Path, help="where the studies are kept")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    home = Home(options.home.resolve())
    os.environ[VARIABLE] = str(home.root)
    with prefect_server(home) as server:
        server()
        for puzzle in options.puzzles.split(","):
            if options.strengths:
                _difficulty(puzzle, seeds, options.strengths.split(","))
            else:
                _asymmetry(puzzle, seeds)


def _asymmetry(puzzle: str, seeds: Sequence[int]) -> None:
    studies = {seed: _study(puzzle, seed) for seed in seeds}
    figures = _figures(_pooled(studies.values()))
    figures["seeds"] = {
        seed: {name: _values(rows) for name, rows in models.items()} for seed, models in studies.items()
    }
    record.save(f"asymmetry-{puzzle}", figures)
    _print(puzzle, figures)


def _difficulty(puzzle: str, seeds: Sequence[int], strengths: Sequence[str]) -> None:
    figures = {}
    for strength in strengths:
        style = f"hard:{strength}"
        figures[style] = _figures(_pooled([_study(puzzle, seed, style) for seed in seeds]))
        _print(f"{puzzle} {style}", figures[style])
    record.save(f"difficulty-{puzzle}", figures)
    _draw_difficulty(figures, ROOT / "docs" / "images" / f"difficulty-{puzzle}.png")


def _study(puzzle: str, seed: int, style: str | None = None) -> dict[str, Rows]:
    """The scored responses of each model of one study, by the model's name; ids tell the seed."""
    from flows.study import study

    changes = {**PUZZLES[puzzle], "seed": seed, "name": f"asymmetry-{puzzle}", "rl_arms": []}
    if style:
        changes |= {"style": style, "arms": [BASELINE, "ngdiff"]}
    config = load_preset("mini", changes)
    outcome = study(config)
    models = {}
    for name, summary in outcome.summaries.items():
        rows = pq.read_table(Path(summary).with_name("results.parquet")).to_pylist()
        models[name] = [{**row, "id": f"{seed}/{row['id']}"} for row in rows]
    return models


def _pooled(studies: Iterable[Mapping[str, Rows]]) -> dict[str, Rows]:
    pooled: dict[str, Rows] = defaultdict(list)
    for models in studies:
        for name, rows in models.items():
            pooled[name] += rows
    return pooled


def _figures(models: Mapping[str, Rows]) -> dict[str, Any]:
    """What each model reaches, what each arm gains over the token mean, and how far reasoning gains more."""
    gains = {
        name: {metric: compare(models[BASELINE], rows)[metric] for metric in METRICS}
        for name, rows in models.items()
        if name not in ("base", BASELINE)
    }
    return {
        "models": {name: as_json({m: summarise(rows)[m] for m in METRICS}) for name, rows in models.items()},
        "gain over token mean": as_json(gains),
        "token mean: gain in a_r less gain in a_p, over the base": as_json(_more_reasoning(models)),
    }


def _more_reasoning(models: Mapping[str, Rows]) -> Any:
    def gain(mode: str, column: str) -> dict[str, int]:
        before = {row["id"]: row[column] for row in models["base"] if row["mode"] == mode}
        return {row["id"]: row[column] - before[row["id"]] for row in models[BASELINE] if row["mode"] == mode}

    reasoning, perception = gain("oracle", "a"), gain("end_to_end", "a_p")
    return bootstrap([reasoning[item] - perception[item] for item in perception])


def _values(rows: Rows) -> dict[str, float]:
    summary = summarise(rows)
    return {metric: round(summary[metric].value, 4) for metric in METRICS}


def _draw_difficulty(figures: Mapping[str, Any], path: Path) -> None:
    """Gain in a over the token mean against how well the token mean sees."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    seen = [found["models"][BASELINE]["a_p"]["value"] for found in figures.values()]
    for arm in next(iter(figures.values()))["gain over token mean"]:
        gains = [found["gain over token mean"][arm]["a"]["difference"] for found in figures.values()]
        value, low, high = ([gain[key] for gain in gains] for key in ("value", "low", "high"))
        bars = [
            [v - e for v, e in zip(value, low, strict=True)],
            [e - v for v, e in zip(value, high, strict=True)],
        ]
        axes.errorbar(seen, value, bars, fmt="o-", capsize=2, label=arm)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="$a_p$ of the token mean (left: harder images)", ylabel="gain in $a$ over the token mean")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def _print(title: str, figures: Mapping[str, Any]) -> None:
    print(f"\n{title}")
    for name, metrics in figures["models"].items():
        print(f"  {name:12}", *(f"{m} {_interval(e)}" for m, e in metrics.items()))
    for name, metrics in figures["gain over token mean"].items():
        for metric, gain in metrics.items():
            print(f"  {name:12} gain in {metric:4} {_interval(gain['difference'])}, p {gain['p']:.2g}")


def _interval(estimate: Mapping[str, float]) -> str:
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**estimate)


if __name__ == "__main__":
    main()
