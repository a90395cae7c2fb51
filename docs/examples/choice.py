"""Multiple choice about images of any kind: the answer is a letter, and nobody has written p* down."""

import json

from percasym.errors import PercasymError
from percasym.puzzles import Credit, Task


class Choice(Task[str]):
    """The instance is the right letter; its ground truth in a data set is {"letter": "B"}."""

    name = "choice"

    def ground_truth(self, instance: str) -> str:
        return json.dumps({"letter": instance})

    def read_ground_truth(self, text: str) -> str:
        try:
            letter = json.loads(text)["letter"]
        except (ValueError, TypeError, KeyError):
            raise PercasymError(f"no letter in {text[:60]!r}") from None
        return str(letter).upper()

    def score_answer(self, instance: str, text: str) -> Credit:
        right = text.strip().strip("().").upper() == instance
        return Credit(right, float(right))
