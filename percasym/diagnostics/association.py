"""Which skill the answer follows: Pearson correlations over the items of a test set.

The correlation of two yes-or-no outcomes is the phi coefficient, and a bootstrap over items is a multinomial
draw over the eight combinations of (a, a_p, a_r); so thousands of resamples cost as much as one table.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from percasym.metrics import CONFIDENCE, RESAMPLES, Estimate
from percasym.seeding import numpy_stream, stream

Array = npt.NDArray[np.float64]


class Given(TypedDict):
    """The end-to-end accuracy over the items with one outcome of perception and reasoning."""

    a_p: bool
    a_r: bool
    right: int
    n: int


class Association(TypedDict):
    """Pearson's r of the end-to-end outcome with each skill, and how often it is right given both.

    An r is None where one of its outcomes never varies.
    """

    a_p: Estimate | None
    a_r: Estimate | None
    difference: Estimate | None
    """r(a, a_p) - r(a, a_r): above 0 the answer follows perception more closely."""
    given: list[Given]


def association(a: Sequence[bool], a_p: Sequence[bool], a_r: Sequence[bool]) -> Association:
    """Correlate three outcomes of the same items, in the same order.

    Intervals are 95 % percentile bootstrap intervals over items; resamples in which an outcome does not vary
    have no correlation and are left out. The same outcomes give the same intervals.
    """
    code = 4 * np.asarray(a, int) + 2 * np.asarray(a_p, int) + np.asarray(a_r, int)
    counts = np.bincount(code, minlength=8)
    n = len(code)
    rng = numpy_stream(stream("association", counts.tolist()))
    tables = np.concatenate([counts[None], rng.multinomial(n, counts / n, RESAMPLES)]).reshape(-1, 2, 2, 2)
    with_p, with_r = _phi(tables.sum(axis=3)), _phi(tables.sum(axis=2))
    cells = counts.reshape(2, 2, 2)
    return Association(
        a_p=_estimate(with_p, n),
        a_r=_estimate(with_r, n),
        difference=_estimate(with_p - with_r, n),
        given=[
            Given(a_p=bool(p), a_r=bool(r), right=int(cells[1, p, r]), n=int(cells[:, p, r].sum()))
            for p in (0, 1)
            for r in (0, 1)
        ],
    )


def _phi(tables: npt.NDArray[np.int64]) -> Array:
    """Pearson's r of each of B tables of counts, shape (B, 2, 2); nan where a margin is empty."""
    t = tables.astype(float)
    margins = t.sum(axis=1).prod(axis=1) * t.sum(axis=2).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: Array = (t[:, 1, 1] * t[:, 0, 0] - t[:, 1, 0] * t[:, 0, 1]) / np.sqrt(margins)
    return r


def _estimate(r: Array, n: int) -> Estimate | None:
    """The first value of `r` with the interval of the rest."""
    if np.isnan(r[0]):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(r[1:], [tail, 1 - tail])
    return Estimate(float(r[0]), float(low), float(high), n)
