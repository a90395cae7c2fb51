"""Models against the first on the same items: sums that must hold, and mistakes that are told."""

import json
from collections.abc import Callable
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.comparison import OUTCOMES, compare_models, flips, is_right
from percasym.diagnostics.headline import holm
from percasym.diagnostics.records import read_results
from percasym.errors import PercasymError
from percasym.metrics import Row
from percasym.report import ReportInput

BITS = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans())


def rows(bits: list[tuple[bool, bool, bool, bool]]) -> list[Row]:
    """End-to-end and oracle rows: (a, a_p, complete, a_r) of each item."""
    found = []
    for number, (a, a_p, complete, a_r) in enumerate(bits):
        for mode, right in (("end_to_end", a), ("oracle", a_r)):
            own = mode == "end_to_end"
            values: dict[str, Any] = {"id": str(number), "mode": mode, "text": "", "cause": None, "a": right}
            values |= {"a_partial": float(right), "format": complete, "complete": complete, "tokens": 1}
            values |= {"a_p": a_p if own else None, "a_p_partial": float(a_p) if own else None}
            values |= {"caption_read": complete if own else None, "answer_read": complete}
            values |= {"a_own": a if own else None, "finish_reason": None}
            found.append(Row(**values))
    return found


@given(st.lists(st.tuples(BITS, BITS), min_size=1, max_size=30))
def test_every_item_is_in_one_cell_and_flips_agree_with_the_figures(
    pairs: list[tuple[tuple[bool, ...], tuple[bool, ...]]],
) -> None:
    before, after = (rows(list(bits)) for bits in zip(*pairs, strict=True))  # type: ignore[arg-type]
    found = compare_models({"before": before, "after": after})
    table = found["against"]["after"]["flips"]
    ids = [id for row in table["cells"].values() for cell in row.values() for id in cell]
    assert sorted(ids) == sorted(row["id"] for row in before if row["mode"] == "end_to_end")
    figure = found["against"]["after"]["figures"]["a"]
    assert (table["gained"], table["lost"]) == (figure["gained"], figure["lost"])
    assert isclose(
        figure["difference"]["value"], (table["gained"] - table["lost"]) / len(pairs), abs_tol=1e-12
    )
    assert figure["p_holm"] == figure["p"]
    back = flips(after, before)
    assert all(table["cells"][was][now] == back["cells"][now][was] for was in OUTCOMES for now in OUTCOMES)


def test_a_cell_says_what_was_and_what_is() -> None:
    seen, unseen = (True, True, True, True), (False, False, True, True)
    table = flips(rows([seen, unseen, unseen]), rows([unseen, seen, unseen]))
    assert table["cells"]["right"]["perception"] == ["0"]
    assert table["cells"]["perception"]["right"] == ["1"]
    assert table["cells"]["perception"]["perception"] == ["2"]
    assert (table["gained"], table["lost"]) == (1, 1)
    assert [outcome for outcome in OUTCOMES if is_right(outcome)] == ["right", "lucky"]


def test_several_models_are_corrected_for(make_study: Callable[..., ReportInput]) -> None:
    study = make_study(n=40)
    found = compare_models({model.label: read_results(model.results) for model in study.models})
    assert found["reference"] == "Base"
    assert found["items"] == 40
    assert json.loads(json.dumps(found)) == found
    for figure in ("a", "a_p", "a_r"):
        ps = [against["figures"][figure]["p"] for against in found["against"].values()]
        assert [against["figures"][figure]["p_holm"] for against in found["against"].values()] == holm(ps)


def test_without_oracle_rows_there_is_no_a_r(make_study: Callable[..., ReportInput]) -> None:
    study = make_study(n=20, oracle=False)
    models = {model.label: read_results(model.results) for model in study.models[:2]}
    assert compare_models(models)["against"]["Token mean"]["figures"]["a_r"] is None


def test_other_items_and_one_model_are_refused() -> None:
    one, two = rows([(True,) * 4]), rows([(True,) * 4] * 2)
    with pytest.raises(PercasymError, match=r"^b against a: .*same items"):
        compare_models({"a": one, "b": two})
    with pytest.raises(PercasymError, match="two evaluations"):
        compare_models({"a": one})
