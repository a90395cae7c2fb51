"""The card of a data set that was taken over."""

from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import DatasetCard

if TYPE_CHECKING:
    from percasym.importing import ImportReport

BODY = """
# {title}

Puzzles whose image has one canonical text form, in the layout of percasym. Taken over from `{source}` by
percasym {version}; the licence is that of the source. Images, queries, ground truths and responses are as
they were there, byte by byte, but for images that not all programs would see alike (turned by their EXIF,
transparent, of 16 bits, or moving): these are redrawn as plain ones.

| split | rows | rejected | equal | redrawn | responses | answer right | caption right | both |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{splits}

`equal` are rows that are equal to an earlier one of their split (`equal.jsonl`); `redrawn` are images.
{repeats}

| column | what it holds |
| --- | --- |
| `id` | family, split, and the number of the row in the source |
| `query` | the request to the model |
| `image` | as it was, or redrawn |
| `ground_truth` | the puzzle itself as JSON, not a solution: answers are verified |
| `perception` | the canonical description of what the image should show, made from `ground_truth` |
| `puzzle` | the family and settings that read `ground_truth`; how the images were drawn is not known |
| `prefix` | empty |
| `response` | as it was; empty where there was none |
"""


def write_import_card(folder: Path, source: str, report: "ImportReport") -> None:
    """Put what is known of rows that were taken over into the card of `folder`, in place of how ours came."""
    from percasym import __version__

    path = folder / "README.md"
    card = DatasetCard(path.read_text())
    card.text = BODY.format(
        title=f"percasym: {Path(source).name}",
        source=Path(source).name if Path(source).is_dir() else source,
        version=__version__,
        splits="\n".join(
            f"| {split} | {found.rows} | {found.rejected} | {found.equal} | {found.redrawn} | "
            f"{found.responses} | {found.right} | {_count(found.right_caption)} | {_count(found.both)} |"
            for split, found in report.splits.items()
        ),
        repeats=(
            f"Rows whose puzzle occurs in another split too: {report.repeats}, see `repeated.jsonl`."
            if report.repeats
            else "No puzzle occurs in two splits."
        ),
    )
    card.save(path)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)
