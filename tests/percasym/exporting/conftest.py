"""A data set with what an export can stumble over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.released import GRAPH, QUERY, SUDOKU, answered, picture

from percasym.datasets import generate_rows, write_dataset
from percasym.importing.recognition import read_puzzle
from percasym.puzzles import load_puzzle, spec


def released_rows() -> Iterator[dict[str, Any]]:
    """Each released row with a right answer and with a wrong one."""
    for truth in (GRAPH, SUDOKU):
        puzzle, instance = read_puzzle(truth, None)
        for right in (True, False):
            yield {
                "id": f"{puzzle.name}-{'right' if right else 'wrong'}",
                "query": QUERY,
                "image": picture(truth),
                "ground_truth": truth,
                "perception": puzzle.perception(instance),
                "puzzle": spec(puzzle),
                "prefix": "",
                "response": answered(truth, right),
            }


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train_sft: the released rows with responses, one without an image, and three that teach nothing."""
    rows = list(released_rows())
    first = rows[0]
    odd = [
        {**first, "id": "no-image", "image": None},
        {**first, "id": "no-response", "response": ""},
        {**first, "id": "prefix", "prefix": "<caption>"},
        {**first, "id": "place", "query": "Look at the <image>."},
    ]
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
    folder = tmp_path_factory.mktemp("taught")
    write_dataset(
        folder,
        {
            "train_sft": [*rows, *odd],
            "train_rl": generate_rows(puzzle, "train_rl", 0, 3),
            "test": [{**row, "response": ""} for row in rows],
        },
    )
    return folder
