"""From scored responses to figures: a, a_p and a_r with 95 % intervals, causes of errors, paired tests."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import NormalDist, fmean
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from percasym.errors import PercasymError
from percasym.judgement import Score

CONFIDENCE = 0.95
RESAMPLES = 5_000
RESAMPLED_AT_ONCE = 1 << 18  # items; 2 MB stay in the cache

Mode = Literal["end_to_end", "oracle"]
Outcome = Literal["right", "lucky", "perception", "reasoning", "both", "format"]
FIGURES = ("a", "a_p", "a_r")
READING = ("caption_unread", "answer_unread", "cut_off", "answer_unread_r", "cut_off_r")
"""What stands beside the figures, for a text that cannot be read says nothing of sight or reasoning: of the
end-to-end rows the shares without a caption, or an answer, that can be read, and of those cut off at the
token limit; with _r those of the oracle rows."""
CAUSES: tuple[Outcome, ...] = ("perception", "reasoning", "both", "format")


class Row(TypedDict):
    """One response to one item, scored: the columns of every table of results.

    The oracle mode gives the model the right caption, so that its `a` is the counterfactual reasoning a_r;
    what speaks of the model's own caption is null there, and of a task without a p*.
    """

    id: str
    mode: Mode
    text: str  # the whole response, the injected caption of the oracle mode included
    a: bool
    a_partial: float
    a_p: bool | None
    a_p_partial: float | None
    a_own: bool | None
    format: bool
    complete: bool
    caption_read: bool | None
    answer_read: bool
    cause: Outcome | None  # of the end-to-end row, once `with_causes` has seen the oracle row
    tokens: int | None  # generated ones; null where only a text is known
    finish_reason: str | None  # "length": cut off at the token limit; null where that is not known


def result_row(
    id: str, mode: Mode, text: str, score: Score, tokens: int | None = None, finish_reason: str | None = None
) -> Row:
    """The row of one scored response; its cause is left to `with_causes`."""
    own = mode == "end_to_end"
    return Row(
        id=id,
        mode=mode,
        text=text,
        a=score.a,
        a_partial=score.a_partial,
        a_p=score.a_p if own else None,
        a_p_partial=score.a_p_partial if own else None,
        a_own=score.a_own if own else None,
        format=score.format,
        complete=score.complete,
        caption_read=score.caption_read if own else None,
        answer_read=score.answer_read,
        cause=None,
        tokens=tokens,
        finish_reason=finish_reason,
    )


class Estimate(NamedTuple):
    """A mean over `n` items with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int) -> Estimate:
    """A share with its Wilson score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209).

    It stays inside [0, 1] and has a width even where all or none of the items are right.

    Raises:
        ValueError: not 0 <= successes <= n, or n == 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"no share: {successes} of {n}")
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Where all or none are right, one bound is the share itself, 0 or 1: rounding must not put it aside.
    return Estimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), n)


def bootstrap(values: Sequence[float] | npt.NDArray[Any], seed: int = 0) -> Estimate:
    """A mean with its percentile bootstrap interval over the items (Efron 1979, Ann. Statist. 7, 1).

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("no mean of no values")
    items = np.asarray(values, dtype=np.float64)
    n = len(items)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    block = max(1, RESAMPLED_AT_ONCE // n)
    for start in range(0, RESAMPLES, block):
        part = means[start : start + block]
        part[:] = items[rng.integers(n, size=(len(part), n), dtype=np.int32)].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(items.mean()), float(low), float(high), n)


def paired_bootstrap(x: Sequence[float], y: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of y - x over items that both models answered, with its paired bootstrap interval."""
    return bootstrap(np.asarray(y, dtype=np.float64) - np.asarray(x, dtype=np.float64), seed)


def mcnemar(x: Sequence[bool], y: Sequence[bool]) -> float:
    """Exact two-sided p of McNemar's test (McNemar 1947, Psychometrika 12, 153).

    Of the items that just one of two models has right, under the null hypothesis each is as likely to be the
    one's as the other's.
    """
    from scipy.stats import binomtest

    gained = sum(right and not before for before, right in zip(x, y, strict=True))
    lost = sum(before and not right for before, right in zip(x, y, strict=True))
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def cause(row: Row, oracle_right: bool | None) -> Outcome | None:
    """What became of one end-to-end response, and of a wrong one, why.

    - *right*, or *lucky*: right in spite of a wrong caption;
    - *format*: wrong, and the caption or the answer is missing or incomplete;
    - *reasoning*: wrong on a right caption;
    - *perception*: wrong on a wrong caption, and right when given the right one;
    - *both*: wrong on a wrong caption, and wrong when given the right one.

    Without a p* nobody knows why an answer is wrong, and nothing is lucky: None.

    Args:
        row: the end-to-end row.
        oracle_right: was the answer right when the right caption was given? Where nobody asked (None), it is
            taken to be right if the answer solves the puzzle that the model's own caption describes.
    """
    if row["a"]:
        return "lucky" if row["complete"] and row["a_p"] is False else "right"
    if not row["complete"]:
        return "format"
    if row["a_p"] is None:
        return None
    if row["a_p"]:
        return "reasoning"
    counterfactual = row["a_own"] if oracle_right is None else oracle_right
    return "perception" if counterfactual else "both"


def with_causes(rows: Iterable[Row]) -> list[Row]:
    """The rows, with the cause of each end-to-end row found from the oracle row of the same id, if any."""
    rows = list(rows)
    oracle = {row["id"]: row["a"] for row in rows if row["mode"] == "oracle"}
    return [
        {**row, "cause": cause(row, oracle.get(row["id"]))} if row["mode"] == "end_to_end" else row
        for row in rows
    ]


def summarise(rows: Iterable[Row]) -> dict[str, Any]:
    """The figures of one model on one split; `as_json` writes them.

    Estimates: `a`, `a_p`, `a_own` and `format` of the end-to-end rows, `a_r` of the oracle rows (None without
    them), and beside them the partial credits `a_partial`, `a_p_partial`, `a_r_partial`; what speaks of
    captions is over the items that have a p*, and None if none has. Shares of texts
    that could not be judged: see `READING`; None where nobody knows why a text ended. Counts: `causes` of the
    wrong answers, and `lucky` right ones, which are no cause. `lengths`: per mode the mean `tokens` (None if
    unknown) and `characters`.

    Raises:
        PercasymError: there is no end-to-end row.
    """
    rows = with_causes(rows)
    own = [row for row in rows if row["mode"] == "end_to_end"]
    oracle = [row for row in rows if row["mode"] == "oracle"]
    if not own:
        raise PercasymError("there are no end-to-end responses to summarise; score at least one")
    outcomes = Counter(row["cause"] for row in own)
    return {
        "a": _share(own, "a"),
        "a_partial": _mean(own, "a_partial"),
        "a_p": _share(own, "a_p"),
        "a_p_partial": _mean(own, "a_p_partial"),
        "a_r": _share(oracle, "a"),
        "a_r_partial": _mean(oracle, "a_partial"),
        "a_own": _share(own, "a_own"),
        "format": _share(own, "format"),
        "caption_unread": _unread(own, "caption_read"),
        "answer_unread": _unread(own, "answer_read"),
        "cut_off": _cut_off(own),
        "answer_unread_r": _unread(oracle, "answer_read"),
        "cut_off_r": _cut_off(oracle),
        "causes": {name: outcomes[name] for name in CAUSES},
        "lucky": outcomes["lucky"],
        "lengths": {"end_to_end": _lengths(own), "oracle": _lengths(oracle) if oracle else None},
    }


def compare(rows_a: Iterable[Row], rows_b: Iterable[Row]) -> dict[str, Any]:
    """Model b against model a on the same items; `as_json` writes it.

    For each figure (`a`, `a_p`, `a_r`, `a_own`, `format`): `difference` b - a with its paired bootstrap
    interval, `p` of McNemar's test, and how many items were `gained` and `lost`. For each partial credit the
    `difference`. The figures of the oracle mode are None unless both models have it, and those of captions
    unless there is a p*.

    Raises:
        PercasymError: the two models did not answer the same items.
    """
    tables_a, tables_b = _by_mode(rows_a), _by_mode(rows_b)
    comparison: dict[str, Any] = {}
    for figure, mode, column in _COMPARED:
        before, after = tables_a[mode], tables_b[mode]
        if mode == "oracle" and not (before and after):
            comparison[figure] = None
            continue
        if before.keys() != after.keys():
            other = sorted(before.keys() ^ after.keys())
            raise PercasymError(
                f"only the same items can be compared: {len(other)} ids have {mode} responses of just one of "
                f"the two models, first {other[0]!r}; score both on the same split"
            )
        known = [id for id, row in before.items() if None not in (row[column], after[id][column])]
        if not known:
            comparison[figure] = None
            continue
        x, y = ([table[id][column] for id in known] for table in (before, after))
        comparison[figure] = {"difference": paired_bootstrap(x, y)}
        if not column.endswith("_partial"):
            comparison[figure] |= {
                "p": mcnemar(x, y),
                "gained": sum(now and not was for was, now in zip(x, y, strict=True)),
                "lost": sum(was and not now for was, now in zip(x, y, strict=True)),
            }
    return comparison


def as_json(value: Any) -> Any:
    """The same, with each Estimate as the object {"value", "low", "high", "n"}."""
    if isinstance(value, Estimate):
        return value._asdict()
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    return value


_COMPARED: tuple[tuple[str, Mode, str], ...] = (
    ("a", "end_to_end", "a"),
    ("a_partial", "end_to_end", "a_partial"),
    ("a_p", "end_to_end", "a_p"),
    ("a_p_partial", "end_to_end", "a_p_partial"),
    ("a_r", "oracle", "a"),
    ("a_r_partial", "oracle", "a_partial"),
    ("a_own", "end_to_end", "a_own"),
    ("format", "end_to_end", "format"),
)


def _by_mode(rows: Iterable[Row]) -> dict[Mode, dict[str, Mapping[str, Any]]]:
    tables: dict[Mode, dict[str, Mapping[str, Any]]] = {"end_to_end": {}, "oracle": {}}
    for row in rows:
        tables[row["mode"]][row["id"]] = row
    return tables


def _known(rows: Sequence[Mapping[str, Any]], column: str) -> list[Any]:
    return [row[column] for row in rows if row[column] is not None]


def _share(rows: Sequence[Mapping[str, Any]], column: str) -> Estimate | None:
    values = _known(rows, column)
    return wilson(sum(values), len(values)) if values else None


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> Estimate | None:
    values = _known(rows, column)
    return bootstrap(values) if values else None


def _unread(rows: Sequence[Mapping[str, Any]], column: str) -> Estimate | None:
    values = _known(rows, column)
    return wilson(len(values) - sum(values), len(values)) if values else None


def _cut_off(rows: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """The share of the responses that ended at the token limit, of those of which it is known."""
    reasons = [row["finish_reason"] for row in rows if row["finish_reason"] is not None]
    return wilson(reasons.count("length"), len(reasons)) if reasons else None


def _lengths(rows: list[Row]) -> dict[str, float | None]:
    tokens = [row["tokens"] for row in rows if row["tokens"] is not None]
    return {
        "tokens": fmean(tokens) if tokens else None,
        "characters": fmean(len(row["text"]) for row in rows),
    }
