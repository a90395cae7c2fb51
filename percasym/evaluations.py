"""Finished evaluations, found by what a user writes:

- the id of an MLflow run of the stage `evaluate`, or its first digits, six or more;
- STUDY/MODEL, as mini/ngdiff: in the latest finished study of that name;
- a folder with a results.parquet, as `percasym evaluate --out` writes it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from percasym.datasets import read_split, split_names
from percasym.diagnostics.records import read_results
from percasym.errors import PercasymError
from percasym.metrics import Row
from percasym.runs import STUDY, evaluated, kept, names, search
from percasym.seals import check
from percasym.tracking import fetch, fetched

RESULTS = "results.parquet"
SHORT = 8
"""Digits of a run id that are shown."""
_RUN_ID = re.compile("[0-9a-f]{6,32}")


@dataclass(frozen=True)
class Evaluation:
    """What is known of one evaluation."""

    label: str
    """The model, as its study calls it."""
    results: Path
    """results.parquet."""
    dataset: Path | None = None
    """The folder of the data set whose items it answered, where a user has named it."""
    data_run: str | None = None
    """MLflow run id of the stage that made that data set."""
    run: str | None = None
    """MLflow run id."""
    study: str | None = None

    def rows(self) -> list[Row]:
        """Its rows.

        Raises:
            PercasymError: they cannot be read.
        """
        return read_results(self.results)


def find_evaluations(written: Sequence[str], dataset: Path | None = None) -> list[Evaluation]:
    """The evaluations of these names, each with a label of its own.

    Args:
        dataset: the data set whose items they answered, in place of the one that MLflow knows.

    Raises:
        PercasymError: a name is not one of the three forms; nothing has that name, or more than one has; it
            has not finished; its results are gone; one evaluation is named twice.
    """
    found = [_find(name) for name in written]
    if dataset is not None:
        found = [replace(evaluation, dataset=dataset) for evaluation in found]
    twice = Counter(evaluation.results.resolve() for evaluation in found)
    for name, evaluation in zip(written, found, strict=True):
        if twice[evaluation.results.resolve()] > 1:
            raise PercasymError(f"{name} is named twice, or is one evaluation under two names: name others")
    return _told_apart(found)


def dataset_of(evaluations: Sequence[Evaluation]) -> tuple[Path, str]:
    """The data set, and the split of it, whose items all of these answered.

    Raises:
        PercasymError: it is not known, or they have not one in common.
    """
    folders = list(dict.fromkeys(folder for one in evaluations if (folder := _folder(one))))
    if not folders:
        raise PercasymError(
            f"the data set of {evaluations[0].label} is not known or gone: name its folder with --data"
        )
    ids = {row["id"] for evaluation in evaluations for row in evaluation.rows()}
    for folder in folders:
        for split in split_names(folder):
            if ids.issubset(read_split(folder, split, ["id"])["id"]):
                return folder, split
    has = ", ".join(split_names(folders[0])) or "no split"
    raise PercasymError(
        f"no split of {folders[0]} (it has {has}) holds the items that were answered: name theirs with --data"
    )


def check_same_items(evaluations: Sequence[Evaluation]) -> None:
    """Two data sets may use the same ids for different puzzles, or for other pictures of them.

    Raises:
        PercasymError: so it is with two of these, as far as their data sets are known.
    """
    seen: dict[str, tuple[str, str]] = {}
    for folder in dict.fromkeys(folder for one in evaluations if (folder := _folder(one))):
        answered = {row["id"] for one in evaluations if _folder(one) == folder for row in one.rows()}
        for split in split_names(folder):
            rows = read_split(folder, split, ["id", "puzzle", "ground_truth"])
            if not answered.issubset(rows["id"]):
                continue
            for row in rows:
                item = (row["puzzle"], row["ground_truth"])
                if seen.setdefault(row["id"], item) != item:
                    labels = " and ".join(one.label for one in evaluations)
                    raise PercasymError(
                        f"{labels} answered different puzzles under the same ids, as {row['id']}: "
                        "only models that answered the same items can be compared"
                    )
            break


def _folder(evaluation: Evaluation) -> Path | None:
    """The data set of an evaluation; None if it is not known, or not there any more."""
    if evaluation.dataset or not evaluation.data_run:
        return evaluation.dataset
    tracker = kept()
    if tracker.run(evaluation.data_run) is None:
        return None
    folder = _artifact(tracker.client.get_run(evaluation.data_run))
    return folder if split_names(folder) else None


def _find(name: str) -> Evaluation:
    folder = Path(name).expanduser()
    if (folder / RESULTS).is_file():
        check(folder)
        return Evaluation(label=folder.resolve().name, results=folder / RESULTS)
    if folder.is_dir():
        raise PercasymError(
            f"{name} has no {RESULTS}: name a folder that `percasym evaluate --out` has written"
        )
    if _RUN_ID.fullmatch(name):
        return _by_run(name)
    study, slash, model = name.partition("/")
    if slash and re.fullmatch(r"[\w.-]+", study):
        return _of_study(study, model)
    raise PercasymError(
        f"{name} names no evaluation: write STUDY/MODEL, the id of an MLflow run (6 digits of it or more), "
        f"or a folder with {RESULTS}"
    )


def _by_run(prefix: str) -> Evaluation:
    tracker = kept()
    found = tracker.client.search_runs(
        [tracker.experiment], f"attributes.run_id LIKE '{prefix}%'", max_results=2
    )
    if len(found) != 1:
        what = "more than one MLflow run begins" if found else "no MLflow run begins"
        raise PercasymError(f"{what} with {prefix}: `percasym runs` lists what there is")
    (run,) = found
    parts = evaluated(run)
    if len(parts) == 1:
        return _evaluation(tracker.client.get_run(*parts.values()))
    if parts or run.data.tags.get("stage") == STUDY:
        listed = ", ".join(f"{name} ({part[:SHORT]})" for name, part in parts.items()) or "none yet"
        raise PercasymError(
            f"{prefix} is {run.info.run_name!r} as a whole: name one of its evaluations: {listed}"
        )
    return _evaluation(run)


def _of_study(study: str, model: str) -> Evaluation:
    tracker = kept()
    found = search(tracker, STUDY, study, 1, "attributes.status = 'FINISHED'")
    if not found:
        there = ", ".join(names(tracker, finished=True)) or "none"
        raise PercasymError(f"there is no finished study called {study!r}; there are {there}")
    models = evaluated(found[0])
    if model not in models:
        raise PercasymError(f"the study {study!r} has no model {model!r}; it has {', '.join(models)}")
    return replace(_evaluation(tracker.client.get_run(models[model])), study=study)


def _evaluation(run: Any) -> Evaluation:
    """What a finished run has left, if it has left results."""
    name, tags = f"{run.info.run_name} ({run.info.run_id[:SHORT]})", run.data.tags
    if run.info.status != "FINISHED":
        raise PercasymError(f"{name} has not finished (it is {run.info.status}): name another evaluation")
    results = _artifact(run) / RESULTS
    if not results.is_file():
        raise PercasymError(
            f"{name} has no {RESULTS}: name a run of the stage evaluate, or do that again if it is one"
        )
    return Evaluation(
        label=tags.get("label") or run.info.run_name,
        results=results,
        data_run=tags.get("input.data"),
        run=run.info.run_id,
        study=tags.get("study"),
    )


def _artifact(run: Any) -> Path:
    return fetch(run.info.artifact_uri, fetched(run.info.run_id))


def _told_apart(found: Sequence[Evaluation]) -> list[Evaluation]:
    """The same, with labels that say no more than it takes to differ."""
    short = [evaluation.label for evaluation in found]
    longer = [f"{evaluation.study}/{evaluation.label}" for evaluation in found]
    longest = [
        f"{name} {evaluation.run[:SHORT] if evaluation.run else evaluation.results.resolve().parent}"
        for name, evaluation in zip(longer, found, strict=True)
    ]
    labels = next(
        (
            names
            for names in (short, longer if all(one.study for one in found) else longest)
            if len(set(names)) == len(names)
        ),
        longest,
    )
    return [replace(evaluation, label=label) for evaluation, label in zip(found, labels, strict=True)]
