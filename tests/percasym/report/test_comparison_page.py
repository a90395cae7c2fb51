import json
import re

import pytest
from fixtures.pages import HOSTILE, Page, check_self_contained
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import PathPatch, Rectangle
from PIL import Image

from percasym.comparison import OUTCOMES, compare_models, is_right
from percasym.diagnostics.records import read_results
from percasym.errors import PercasymError
from percasym.report.comparison_page import write_comparison
from percasym.report.flip_figure import flip_figure
from percasym.report.sample_table import write_sample_table


def rows_of(study, *names):
    return {model.label: read_results(model.results) for model in study.models if model.name in names}


def written(rows, out, data=None):
    path = write_comparison(compare_models(rows), rows, out, data)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    check_self_contained(html, page, "gallery-")
    return html, page


def test_a_page_with_a_figure_and_a_gallery_for_each_model(whole_study, tmp_path):
    rows = rows_of(whole_study, "base", "token_mean", "ngdiff")
    html, page = written(rows, tmp_path, (whole_study.dataset, "test"))
    assert page.tags.count("figure") == 2
    assert "Holm" in html
    assert {path.name for path in tmp_path.iterdir()} == {
        *("comparison.html", "figures", "gallery-1.html", "gallery-2.html")
    }
    for number in (1, 2):
        with Image.open(tmp_path / "figures" / f"flips-{number}.png") as image:
            assert image.width >= 1000
        assert (tmp_path / "figures" / f"flips-{number}.svg").exists()
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    for link in links:
        name, _, place = link.partition("#")
        assert not place or f'id="{place}"' in (tmp_path / name).read_text()
    flips = compare_models(rows)["against"]["NGDiff"]["flips"]
    assert f"{flips['gained']} gained, {flips['lost']} lost" not in html  # drawn, not written
    gained = re.findall(r"▲ \+(\d+)", html)
    both = compare_models(rows)["against"].values()
    assert sum(map(int, gained)) == sum(found["flips"]["gained"] for found in both)


def test_without_a_data_set_there_is_no_gallery(whole_study, tmp_path):
    html, page = written(rows_of(whole_study, "base", "ngdiff"), tmp_path)
    assert not list(tmp_path.glob("gallery*"))
    assert "a" not in page.tags
    assert "Holm" not in html


def test_nothing_flipped(whole_study, tmp_path):
    (rows,) = rows_of(whole_study, "ngdiff").values()
    html, _ = written({"one": rows, "again": rows}, tmp_path, (whole_study.dataset, "test"))
    assert not list(tmp_path.glob("gallery*"))
    assert "▲" not in html


def test_hostile_labels_are_only_text(whole_study, tmp_path):
    rows = {f"{label} {HOSTILE}": part for label, part in rows_of(whole_study, "base", "ngdiff").items()}
    html, page = written(rows, tmp_path, (whole_study.dataset, "test"))
    assert HOSTILE in "".join(page.text)
    assert "<script" not in html
    assert "<script" not in (tmp_path / "figures" / "flips-1.svg").read_text()


def test_a_folder_that_cannot_be_written_is_told(whole_study, tmp_path):
    (tmp_path / "file").write_text("")
    rows = rows_of(whole_study, "base", "ngdiff")
    with pytest.raises(PercasymError, match="cannot write"):
        write_comparison(compare_models(rows), rows, tmp_path / "file")


@settings(max_examples=15)
@given(st.lists(st.integers(0, 40), min_size=36, max_size=36).filter(any))
def test_streams_and_bars_are_as_high_as_their_numbers(numbers):
    counts = {
        (was, now): numbers[6 * i + j] for i, was in enumerate(OUTCOMES) for j, now in enumerate(OUTCOMES)
    }
    cells = {was: {now: ["id"] * counts[was, now] for now in OUTCOMES} for was in OUTCOMES}
    gained, lost = (
        sum(counts[was, now] for was in OUTCOMES for now in OUTCOMES if not is_right(was) and is_right(now)),
        sum(counts[was, now] for was in OUTCOMES for now in OUTCOMES if is_right(was) and not is_right(now)),
    )
    figure = flip_figure({"cells": cells, "gained": gained, "lost": lost}, "$before", "after")
    left, right = figure.axes
    streams = [patch for patch in left.patches if isinstance(patch, PathPatch)]
    assert len(streams) == sum(map(bool, numbers))
    bars = {0: 0.0, 1: 0.0}
    for bar in (patch for patch in left.patches if isinstance(patch, Rectangle)):
        bars[round(bar.get_x() + bar.get_width() / 2)] += bar.get_height()
    assert bars == pytest.approx({0: 1, 1: 1})
    shown = {text.get_text() for text in right.texts} - {"·"}
    assert sum(int(text.get_text().lstrip("+−")) for text in right.texts if text.get_text() != "·") == sum(
        numbers
    )
    assert any(text.startswith("+") for text in shown) == (gained > 0)
    assert any(text.startswith("−") for text in shown) == (lost > 0)
    assert f"{gained} gained, {lost} lost" in left.get_title(loc="left")


def test_a_table_for_mlflow_has_the_same_items_for_every_model(whole_study, tmp_path):
    tables = []
    for name, rows in rows_of(whole_study, "base", "ngdiff").items():
        folder = tmp_path / name
        folder.mkdir()
        write_sample_table(folder, rows, whole_study.dataset, "test", items=10)
        tables.append(json.loads((folder / "samples.json").read_text()))
        assert len(list((folder / "table_images" / "samples").glob("*.png"))) == 10
    for table in tables:
        assert table["columns"][:3] == ["id", "outcome", "picture"]
        assert [row[0] for row in table["data"]] == [f"sudoku-test-0-{number}" for number in range(10)]
        assert {"a", "a_p", "a_r", "p*", "caption", "reasoning", "answer"} < set(table["columns"])
    assert tables[0]["data"] != tables[1]["data"]
