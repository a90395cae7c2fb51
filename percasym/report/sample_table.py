"""Items of one model as a table that MLflow's UI shows and compares between runs, pictures included.

The format is that of `mlflow.log_table`: a JSON file of columns and data, whose pictures are files beside it.
"""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from percasym.datasets import iter_split
from percasym.images import encode_image, open_image
from percasym.judgement import read_response
from percasym.metrics import Row, with_causes
from percasym.puzzles import load_spec

FILE = "samples.json"
ITEMS = 100
LOGGED = {"mlflow.loggedArtifacts": json.dumps([{"path": FILE, "type": "table"}])}
"""The tag by which MLflow's UI knows the table."""
_PICTURES = Path("table_images") / "samples"
_COLUMNS = ("id", "outcome", "picture", "p*", "caption", "reasoning", "answer", "a", "a_p", "a_r")
_WANTED = ("id", "image", "perception", "ground_truth", "puzzle")
_LONGEST = 2_000
"""Characters of a text."""
_LARGEST_SIDE = 256


def write_sample_table(
    folder: Path, rows: Sequence[Row], dataset: Path, split: str, items: int = ITEMS
) -> list[dict[str, Any]]:
    """Write samples.json and its pictures into `folder`: the first `items` of the split.

    They are the same items for every model, so that MLflow can put models side by side.

    Returns:
        The table, a dict a row: id, outcome, p*, caption, reasoning, answer, a, a_p, a_r, picture. There is
        no picture where one of the items has none; a_r is None where nobody asked.

    Raises:
        PercasymError: the data set or a picture cannot be read.
    """
    judged = {(row["mode"], row["id"]): row for row in with_causes(rows)}
    table, pictures = [], list[bytes | None]()
    for item in islice(iter_split(dataset, split, _WANTED), items):
        row, oracle = judged.get(("end_to_end", item["id"])), judged.get(("oracle", item["id"]))
        if row is None:
            continue
        puzzle = load_spec(item["puzzle"])
        instance = puzzle.read_ground_truth(item["ground_truth"])
        response = read_response(puzzle, instance, row["text"])
        texts = {"p*": item["perception"], "caption": response.caption, "reasoning": response.reasoning}
        texts |= {"answer": response.answer}
        pictures.append(item["image"])
        table.append(
            {
                "id": item["id"],
                "outcome": row["cause"],  # MLflow compares the column behind the ids, if not told another
                **{name: (text or "")[:_LONGEST] for name, text in texts.items()},
                "a": row["a"],
                "a_p": row["a_p"],
                "a_r": oracle["a"] if oracle else None,
            }
        )
    if table and all(pictures):
        table = [
            {**row, "picture": _picture(folder, number, picture or b"")}
            for number, (row, picture) in enumerate(zip(table, pictures, strict=True))
        ]
    columns = sorted(table[0], key=_COLUMNS.index) if table else []
    data = [[row[column] for column in columns] for row in table]
    (folder / FILE).write_text(json.dumps({"columns": columns, "data": data}), encoding="utf-8")
    return table


def _picture(folder: Path, number: int, data: bytes) -> dict[str, str]:
    """Keeps a picture as MLflow does, but once: it is small already."""
    image = open_image(data)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    path = _PICTURES / f"{number}.png"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(encode_image(image))
    return {"type": "image", "filepath": path.as_posix(), "compressed_filepath": path.as_posix()}
