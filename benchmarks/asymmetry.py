"""The paper's claims on the miniature, over seeds.

    python benchmarks/asymmetry.py                                  both puzzles, five seeds
    python benchmarks/asymmetry.py --puzzles sudoku --seeds 0,1     less
    python benchmarks/asymmetry.py --strengths 0.4,0.6,0.8          gains against the difficulty of the images
    python benchmarks/asymmetry.py --rl                             GRPO from the token mean
    python benchmarks/asymmetry.py --surrogates                     GRPO by each surrogate, against the audit

The claims: SFT teaches reasoning more than perception, and reweighting its loss repairs that; the outcome
reward follows reasoning more than perception and so teaches it more, and a reward for perception repairs
that.

Each seed is a study of its own from the preset `mini`: other puzzles in every split, another base model,
another order of training. So differences are over (seed, item) pairs on the test split, and their intervals
know nothing of how training varies: beside each stand the figures of the single seeds, and an interval of
their mean (Student's t), which is the one to go by.
Stages that are done already are not repeated: a run that was stopped goes on. The responses of each seed's
models are kept under results/responses; they are scored as the present code does, and only what is not kept
is run, or with --anew everything.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow.parquet as pq
import record
import responses
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from scipy.stats import t as student

from flows.server import prefect_server
from percasym.diagnostics.coupling import coupling, read_groups
from percasym.home import VARIABLE, Home
from percasym.metrics import as_json, bootstrap, compare, summarise
from percasym.presets import load_preset
from percasym.tracking import Tracker, fetch

ROOT = Path(__file__).parent.parent
METRICS = ("a", "a_p", "a_r")
SIDES = (("a_r", 1), ("a_p", -1))
BASELINE = "token_mean"
SURROGATES = ("teacher", "agreement", "blinding", "well_formed", "agreed")
REWARDS = ("outcome", "perception_aware:0.5", "surrogate:best:0.5")

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
Studies = Mapping[int, Mapping[str, Rows]]
"""The scored responses of each model of a study, by seed and the model's name."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--puzzles", default="sudoku,graph_coloring")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument(
        "--strengths", help="strengths of the style `hard`; measured on the first seed's studies"
    )
    parser.add_argument("--rl", action="store_true", help="the rewards of GRPO instead of the losses of SFT")
    parser.add_argument("--surrogates", action="store_true", help="a reward of GRPO from each surrogate")
    parser.add_argument("--anew", action="store_true", help="run also the seeds whose responses are kept")
    parser.add_argument("--home", default=".percasym/asymmetry", type=Path, help="where the studies are kept")
    parser.add_argument("--workers", type=int, default=2, help="trainings at once in a study")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    home = Home(options.home.resolve())
    os.environ[VARIABLE] = str(home.root)
    with prefect_server(home) as server:
        server()
        for puzzle in options.puzzles.split(","):
            if options.rl:
                _reinforcement(puzzle, seeds, options.workers)
            elif options.surrogates:
                _surrogates(puzzle, seeds, options.workers)
            elif options.strengths:
                _difficulty(puzzle, seeds, options.workers, options.strengths.split(","))
            else:
                _asymmetry(puzzle, seeds, options.workers, options.anew)


def _asymmetry(puzzle: str, seeds: Sequence[int], workers: int, anew: bool) -> None:
    names = {seed: f"asymmetry-{puzzle}-{seed}" for seed in seeds}
    for seed, name in names.items():
        if anew or not responses.is_kept(name):
            responses.keep(name, _study(puzzle, seed, workers=workers))
    family = load_preset("mini", PUZZLES[puzzle]).load_puzzle("clean")
    studies = {seed: responses.scored(name, family) for seed, name in names.items()}
    figures = _figures(studies)
    figures["responses"] = {seed: responses.origin(name) for seed, name in names.items()}
    figures["token mean: gain in a_r less gain in a_p, over the base"] = _more_reasoning(
        studies, "base", BASELINE
    )
    record.save(f"asymmetry-{puzzle}", figures)
    _print(puzzle, figures)
    _table(figures)


def _difficulty(puzzle: str, seeds: Sequence[int], workers: int, strengths: Sequence[str]) -> None:
    figures = {}
    for strength in strengths:
        style = f"hard:{strength}"
        settings = {"style": style, "arms": [BASELINE, "ngdiff"], "workers": workers}
        figures[style] = _figures({seed: _study(puzzle, seed, **settings) for seed in seeds})
        _print(f"{puzzle} {style}", figures[style])
    record.save(f"difficulty-{puzzle}", figures)
    _draw_difficulty(figures, ROOT / "docs" / "images" / f"difficulty-{puzzle}.png")


def _reinforcement(puzzle: str, seeds: Sequence[int], workers: int) -> None:
    """Every reward from the token mean, and span-level credit, at equal steps."""
    studies: dict[int, dict[str, Rows]] = {}
    rollouts, audits = [], {}
    for seed in seeds:
        name = f"reinforcement-{puzzle}-{seed}"
        common = {"arms": [BASELINE, "ngdiff"], "rl_teacher": "ngdiff", "workers": workers}
        studies[seed] = _study(puzzle, seed, **common, name=name, rl_arms=list(REWARDS))
        spans = _study(
            puzzle, seed, **common, name=f"{name}-span", rl_arms=["outcome"], grpo={"credit": "span"}
        )
        studies[seed]["span credit"] = spans["outcome"]
        folder = Path(fetch(_artifact(name, "grpo.outcome"), Path()))
        rollouts += [group for step in read_groups(folder / "rollouts.jsonl").values() for group in step]
        audits[seed] = json.loads((fetch(_artifact(name, "audit"), Path()) / "audit.json").read_text())
    figures = {
        **_figures(studies),
        "gain over outcome": _gains(studies, "outcome", [*REWARDS[1:], "span credit"]),
        "outcome: gain in a_r less gain in a_p, over the token mean": _more_reasoning(
            studies, BASELINE, "outcome"
        ),
        "coupling under the outcome reward": as_json(coupling(rollouts)),
        "audits": audits,
    }
    record.save(f"reinforcement-{puzzle}", figures)
    _print(puzzle, figures)


def _surrogates(puzzle: str, seeds: Sequence[int], workers: int) -> None:
    """Whether the order of surrogates in the audit, before any training, is that of their gains in a_p."""
    studies: dict[int, dict[str, Rows]] = {}
    audits: dict[str, list[float]] = {name: [] for name in SURROGATES}
    rewards = {name: f"surrogate:{name}:0.5" for name in SURROGATES}
    for seed in seeds:
        name = f"surrogates-{puzzle}-{seed}"
        settings = {"arms": [BASELINE, "ngdiff"], "rl_teacher": "ngdiff", "workers": workers, "name": name}
        # surrogate:best makes the study audit; it trains as the surrogate that it stands for, once.
        settings["rl_arms"] = ["outcome", *rewards.values(), "surrogate:best:0.5"]
        studies[seed] = _study(puzzle, seed, **settings)
        audit = json.loads((fetch(_artifact(name, "audit"), Path()) / "audit.json").read_text())
        for surrogate, found in audit["surrogates"].items():
            audits[surrogate].append(found["within"]["value"] if found["within"] else 0.0)
    gains = _gains(studies, "outcome", rewards.values())
    said = [fmean(audits[name]) for name in SURROGATES]
    gained = [gains[reward]["a_p"]["difference"]["value"] for reward in rewards.values()]
    figures = {
        **_figures(studies),
        "gain over outcome": gains,
        "r within groups in the audits": dict(zip(SURROGATES, said, strict=True)),
        "rank correlation of audit and gain in a_p": spearmanr(said, gained).statistic,
        "by seed": {
            seed: spearmanr(
                [audits[name][place] for name in SURROGATES],
                [_values(models[reward])["a_p"] for reward in rewards.values()],
            ).statistic
            for place, (seed, models) in enumerate(studies.items())
        },
    }
    record.save(f"surrogates-{puzzle}", figures)
    _print(puzzle, figures)
    print("rank correlation", figures["rank correlation of audit and gain in a_p"], figures["by seed"])


def _study(puzzle: str, seed: int, **settings: Any) -> dict[str, Rows]:
    """The scored responses of each model of one study, by the model's name."""
    from flows.study import study

    changes = {
        "name": f"asymmetry-{puzzle}",
        "rl_arms": [],
        **PUZZLES[puzzle],
        **settings,
        "seed": seed,
    }
    outcome = study(load_preset("mini", changes))
    return {
        name: pq.read_table(Path(summary).with_name("results.parquet")).to_pylist()
        for name, summary in outcome.summaries.items()
    }


def _artifact(study: str, stage: str) -> str:
    uri = Tracker.current().latest(study, stage)
    assert uri is not None, f"{study} has no {stage}"
    return uri


def _pooled(studies: Studies) -> dict[str, Rows]:
    pooled: dict[str, Rows] = defaultdict(list)
    for models in studies.values():
        for name, rows in models.items():
            pooled[name] += rows
    return pooled


def _figures(studies: Studies) -> dict[str, Any]:
    """What each model reaches, and what each arm gains over the token mean."""
    pooled = _pooled(studies)
    arms = [name for name in pooled if name not in ("base", BASELINE)]
    return {
        "models": {
            name: {
                metric: {
                    **summarise(rows)[metric]._asdict(),
                    "seeds": {seed: _values(models[name])[metric] for seed, models in studies.items()},
                }
                for metric in METRICS
            }
            for name, rows in pooled.items()
        },
        "gain over token mean": _gains(studies, BASELINE, arms),
    }


def _gains(studies: Studies, baseline: str, arms: Iterable[str]) -> Any:
    pooled = _pooled(studies)
    gains: dict[str, Any] = {}
    for arm in arms:
        compared = as_json(compare(pooled[baseline], pooled[arm]))
        gains[arm] = {
            metric: compared[metric]
            | _over_seeds(
                {
                    seed: _values(models[arm])[metric] - _values(models[baseline])[metric]
                    for seed, models in studies.items()
                }
            )
            for metric in METRICS
        }
    return gains


def _more_reasoning(studies: Studies, before: str, after: str) -> Any:
    """How far reasoning gains more than perception."""
    pooled = _pooled(studies)

    def gain(mode: str, column: str) -> dict[str, int]:
        then = {row["id"]: row[column] for row in pooled[before] if row["mode"] == mode}
        return {row["id"]: row[column] - then[row["id"]] for row in pooled[after] if row["mode"] == mode}

    reasoning, perception = gain("oracle", "a"), gain("end_to_end", "a_p")
    difference = bootstrap([reasoning[item] - perception[item] for item in perception])
    seeds = {
        seed: sum(sign * (_values(models[after])[m] - _values(models[before])[m]) for m, sign in SIDES)
        for seed, models in studies.items()
    }
    return {"difference": as_json(difference)} | _over_seeds(seeds)


def _over_seeds(values: Mapping[int, float]) -> dict[str, Any]:
    """The figure of each seed, and the 95 % interval of their mean."""
    found: dict[str, Any] = {"seeds": {seed: round(value, 4) for seed, value in values.items()}}
    if len(values) > 1:
        numbers = list(values.values())
        half = float(student.ppf(0.975, len(numbers) - 1)) * stdev(numbers) / len(numbers) ** 0.5
        found["over seeds"] = {"low": fmean(numbers) - half, "high": fmean(numbers) + half}
    return found


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
        for metric, found in metrics.items():
            print(f"  {name:12} {metric:4} {_interval(found)}; by seed {_seeds(found)}")
    for heading, found in figures.items():
        if heading.startswith("gain over"):
            for name, metrics in found.items():
                for metric, gain in metrics.items():
                    print(f"  {name:12} {heading}: {metric:4} {_claim(gain)}; p {gain['p']:.2g}")
        elif "gain in a_r" in heading:
            print(f"  {heading}: {_claim(found)}")


def _table(figures: Mapping[str, Any]) -> None:
    """The models as a table of the README: in per cent, with intervals over items, and by seed."""
    models = figures["models"]
    seeds = ", ".join(str(seed) for seed in next(iter(models.values()))["a"]["seeds"])
    items = next(iter(models.values()))["a"]["n"]
    print(f"\n| % of {items:,} items | a | a_p | a_r | by seed ({seeds}): a | a_p | a_r |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, metrics in models.items():
        whole = [
            f"{100 * m['value']:.1f} [{100 * m['low']:.1f}, {100 * m['high']:.1f}]" for m in metrics.values()
        ]
        single = [" ".join(f"{100 * value:.0f}" for value in m["seeds"].values()) for m in metrics.values()]
        print(f"| {' | '.join([name, *whole, *single])} |")


def _claim(found: Mapping[str, Any]) -> str:
    over = found.get("over seeds")
    seeds = f"; mean of seeds {over['low']:+.3f} to {over['high']:+.3f}" if over else ""
    return f"{_interval(found['difference'])}; by seed {_seeds(found)}{seeds}"


def _seeds(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{value:.3f}" for value in found["seeds"].values())


def _interval(estimate: Mapping[str, float]) -> str:
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**estimate)


if __name__ == "__main__":
    main()
