"""What a person would look at, left as artifacts on the run's page in the Prefect UI.

Prefect shows Markdown with HTML in it, so what models write and users name is escaped: as `plain` amid a
line, in a `_block` where it has lines of its own.
"""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from percasym.metrics import READING

SAMPLES = 4
PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
LARGE = 240  # px; the images of miniatures are small
FIGURES = ("accuracy", "differences", "training_curves", "share_curves", "trade_off", "causes")


def show_markdown(key: str, text: str) -> None:
    create_markdown_artifact(text, key=_key(key))


def show_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    create_table_artifact(
        [{k: _cell(v) for k, v in row.items()} for row in rows], key=_key(key), description=plain(description)
    )


def plain(text: str) -> str:
    """Text as one line that is read as nothing else, neither as Markdown nor as HTML."""
    return PUNCTUATION.sub(r"\\\g<0>", " ".join(text.split()))


def _block(text: str) -> str:
    """Text as it is; in such a block nothing is read as Markdown, not even behind an empty line."""
    return f"<pre style='white-space: pre-wrap'>{html.escape(text)}</pre>"


def show_samples(folder: Path, split: str, title: str) -> None:
    """The first images of a split, each beside its p*."""
    from percasym.datasets import iter_split

    parts = [f"### {plain(title)}"]
    for row in islice(iter_split(folder, split), SAMPLES):
        parts += [_image(row["image"], row["id"]), _block(row["perception"])]
    show_markdown("samples", "\n\n".join(parts))


def show_response(folder: Path, split: str) -> None:
    """The first response of a split."""
    from percasym.datasets import iter_split

    row = next(islice(iter_split(folder, split), 1))
    parts = ["### A response of the teacher", _block(row["query"]), _block(row["response"])]
    show_markdown("response", "\n\n".join(parts))


def show_training(log: Path, arm: str) -> None:
    """Where the curves of a training ended, and its validations."""
    from percasym.diagnostics.records import read_training

    lines = read_training(log)
    if lines.train:
        last = lines.train[-1]
        show_table(f"training-{arm}", [last], f"{arm}: the last point of the training curves")
    if lines.validation:
        rows = [{k: v for k, v in line.items() if k != "kind"} for line in lines.validation]
        show_table(f"validation-{arm}", rows, f"{arm}: on the validation split")


def show_summary(summary: dict[str, Any], model: str) -> None:
    """a, a_p and a_r of one model with their intervals."""
    rows = [
        {"figure": name, **{k: v if k == "n" else f"{v:.3f}" for k, v in summary[name].items()}}
        for name in ("a", "a_p", "a_r", "a_partial", "a_p_partial", "format", *READING)
        if summary[name]
    ]
    show_table(f"accuracy-{model}", rows, f"{model}: shares of items, with 95 % intervals")


def show_failures(folder: Path, table: Sequence[Mapping[str, Any]], model: str, run: str) -> None:
    """The first failure of each cause in a table of samples, and where there are more to look at."""
    parts = [f"### {plain(model)}: what went wrong"]
    for cause in ("perception", "reasoning", "both", "format"):
        row = next((row for row in table if row["outcome"] == cause), None)
        if row is None:
            continue
        parts.append(f"**wrong: {cause}**")
        if "picture" in row:
            parts.append(_image((folder / row["picture"]["filepath"]).read_bytes()))
        texts = "\n".join(f"{name:8} {row[name] or '(none)'}" for name in ("id", "p*", "caption", "answer"))
        parts.append(_block(texts))
    parts.append(f"More of them: `gallery.html` and the table `samples.json` of the MLflow run `{run}`.")
    show_markdown(f"failures-{model}", "\n\n".join(parts))


def show_study(summaries: Mapping[str, dict[str, Any]], runs: Mapping[str, str], report: str) -> None:
    """The result of a study, where its report is, and the MLflow run of each stage, found or new."""
    lines = ["| model | a | a_p | a_r |", "| --- | --- | --- | --- |"]
    for name, summary in summaries.items():
        figures = [_percent(summary[figure]) for figure in ("a", "a_p", "a_r")]
        lines.append(f"| {plain(name)} | {' | '.join(figures)} |")
    lines += ["", f"Report: {plain(report)}", "", "| stage | MLflow run |", "| --- | --- |"]
    lines += [f"| {plain(stage)} | `{run}` |" for stage, run in runs.items()]
    show_markdown("study", "\n".join(lines))


def show_figures(folder: Path) -> None:
    for name in FIGURES:
        picture = folder / f"{name}.png"
        if picture.exists():
            show_markdown(name, f"![{name}]({_data_url(picture.read_bytes())})")


def _percent(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _image(png: bytes, says: str = "") -> str:
    return f'<img src="{_data_url(png)}" alt="{html.escape(" ".join(says.split()))}" width="{LARGE}">'


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _cell(value: Any) -> Any:
    """Prefect reads the texts of a table as Markdown, each by itself."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        value = json.dumps(value)
    return plain(value) if isinstance(value, str) else value
