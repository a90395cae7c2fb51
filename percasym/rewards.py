"""Rewards: sums of what the scoring function finds.

A reward is a weighted sum of fields of a `Score`, written as text:

    outcome                       a, the reward of ordinary reinforcement learning with verifiable answers
    perception_aware:0.5          0.5*a_p+0.5*a: R = alpha a_p + (1 - alpha) a (arXiv 2605.29496)
    perception_aware_partial:0.5  the same with the partial credit of the caption
    format                        whether the response is well formed
    0.9*a+0.1*format              any sum of fields, as that of the curriculum paper (arXiv 2605.20177)
    surrogate:agreement:0.5       perception_aware with what stands in for a_p: see percasym.surrogates
    surrogate:best:0.5            in a study: with the surrogate that its audit ranks first
    own.py:function:scale=2       whatever a function of yours gives for each response of a group: it is
                                  called as a surrogate is, with a `percasym.surrogates.Group`
"""

import math
import re
from dataclasses import dataclass

from percasym.errors import PercasymError
from percasym.judgement import FIELDS, Score
from percasym.surrogates import load_surrogate


@dataclass(frozen=True)
class Reward:
    """A weighted sum of fields of a score, and of a surrogate if it has one."""

    weights: tuple[tuple[str, float], ...]
    surrogate: str = ""
    alpha: float = 0.0
    """Weight of the surrogate."""

    @property
    def stands_in(self) -> bool:
        """Whether it has something that stands in for a_p, and is not all a user's own."""
        return bool(self.surrogate and self.weights)

    def __call__(self, judged: Score, stand_in: float = 0.0) -> float:
        """The reward of a response; `stand_in` is what the surrogate says of it."""
        total = self.alpha * stand_in
        for field, weight in self.weights:
            value = getattr(judged, field)
            if value is None:
                raise PercasymError(f"the reward wants {field}, and these items have no p*: take outcome")
            total += weight * float(value)
        return total


BEST = "best"
"""Stands for the surrogate that an audit ranks first, until `chosen` puts that one's name in its place."""

_NAMED = {"outcome": "a", "format": "format"}
_MIXED = {"perception_aware": "a_p", "perception_aware_partial": "a_p_partial"}
_TERM = re.compile(r"(?:(?P<weight>[0-9.]+)\*)?(?P<field>\w+)")


def parse_reward(text: str) -> Reward:
    """The reward that a text of this module's description stands for.

    Raises:
        PercasymError: no such reward or field, or an alpha that is missing or not between 0 and 1.
    """
    name, colon, number = text.partition(":")
    if name == "surrogate":
        surrogate, _, number = number.rpartition(":")
        if surrogate != BEST:
            load_surrogate(surrogate)
        alpha = _alpha(text, f"surrogate:{surrogate}", number)
        return Reward((("a", 1 - alpha),), surrogate, alpha)
    if ".py:" in text:
        load_surrogate(text)
        return Reward((), text, 1.0)
    if name in _MIXED:
        alpha = _alpha(text, name, number)
        return Reward(((_MIXED[name], alpha), ("a", 1 - alpha)))
    weights = []
    for term in _NAMED.get(text, text).split("+"):
        match = _TERM.fullmatch(term.strip())
        weight = _number(match["weight"] or "1") if match else math.nan
        if colon or not match or match["field"] not in FIELDS or not math.isfinite(weight):
            mixed = [f"{name}:ALPHA" for name in (*_MIXED, "surrogate:NAME")]
            known = ", ".join([*_NAMED, *mixed, "path/to/file.py:function"])
            raise PercasymError(
                f"there is no reward {text!r}: use {known}, or a sum such as 0.9*a+0.1*format "
                f"of {', '.join(FIELDS)}"
            )
        weights.append((match["field"], weight))
    return Reward(tuple(weights))


def is_undecided(objective: str) -> bool:
    """Whether it is a surrogate:best:ALPHA."""
    return objective.startswith(f"surrogate:{BEST}:")


def chosen(objective: str, surrogate: str) -> str:
    """`objective`, if it is a surrogate:best:ALPHA with `surrogate` in the place of best."""
    return f"surrogate:{surrogate}:{objective.rpartition(':')[2]}" if is_undecided(objective) else objective


def _alpha(text: str, name: str, number: str) -> float:
    alpha = _number(number)
    if not 0 <= alpha <= 1:
        raise PercasymError(f"the reward {text!r} wants an alpha from 0 to 1: write {name}:0.5")
    return alpha


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
