from dataclasses import replace
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.pages import HOSTILE, Page, check_self_contained
from PIL import Image

from percasym.datasets import generate_rows, write_dataset
from percasym.errors import PercasymError
from percasym.puzzles import load_puzzle
from percasym.report import write_report
from percasym.report.templates import symbols


def written(study, out):
    path = write_report(study, out)
    assert path == out / "report.html"
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    return html, page


@pytest.fixture(scope="module")
def whole(whole_study, tmp_path_factory):
    """The folder, the text and the parsed page of a whole report."""
    out = tmp_path_factory.mktemp("report")
    return out, *written(whole_study, out)


def test_one_page_that_needs_nothing_else(whole):
    _, html, page = whole
    check_self_contained(html, page)
    assert page.tags.count("figure") == 9
    assert page.tags.count("article") == 6


def test_an_audit_of_surrogates_is_told(make_study, tmp_path):
    estimate = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 24}
    figures = {"within": estimate, "pooled": estimate, "false_positives": 0.25, "seconds": 0.02}
    audit = {"surrogates": {"teacher": figures}, "right": 0.3, "groups": 6, "rollouts": 24}
    html, page = written(replace(make_study(training=False, n=20), audit=audit), tmp_path / "out")
    check_self_contained(html, page)
    assert "24 responses to 6 validation items" in html
    assert (tmp_path / "out" / "figures" / "surrogate_audit.png").exists()


def test_ids_are_unique_and_links_lead_to_them(whole):
    _, _, page = whole
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {
        value[1:] for _, name, value in page.attributes if name == "xlink:href" and value.startswith("#")
    }
    assert links
    assert links <= set(ids)


def test_figures_lie_beside_the_page(whole):
    out, _, _ = whole
    assert len(list((out / "figures").glob("*.svg"))) == 9
    for path in (out / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width >= 800


def test_the_stand_ins_are_said_before_any_number_is_drawn(whole):
    _, html, _ = whole
    assert html.index("in place of Qwen3-32B") < html.index("<figure")


def test_numbers_and_config_are_on_the_page(whole, whole_study):
    _, _, page = whole
    text = "".join(page.text)
    rows = [
        row for row in pq.read_table(whole_study.models[3].results).to_pylist() if row["mode"] == "end_to_end"
    ]
    assert f"{100 * sum(row['a'] for row in rows) / len(rows):.1f} " in text
    assert '"seed": 1' in text
    assert "Python 3." in text
    assert "Test items" in text


def test_same_input_same_page(make_study, tmp_path):
    study = replace(make_study(n=20), sweep=())
    study = replace(study, models=study.models[:2])
    assert written(study, tmp_path / "one")[0] == written(study, tmp_path / "two")[0]


def test_graphs(make_study, tmp_path):
    html, page = written(make_study("graph_coloring", n=30), tmp_path / "out")
    check_self_contained(html, page)
    assert page.tags.count("figure") == 8
    assert "line" in page.tags


def test_any_part_may_be_missing(make_study, tmp_path):
    study = make_study(oracle=False, training=False)
    study = replace(study, models=study.models[:1], stand_ins=(), config={}, facts={})
    html, page = written(study, tmp_path / "out")
    assert page.tags.count("figure") == 3 + 1
    assert "Stand-ins" not in html
    assert "McNemar" not in html


def test_hostile_text_is_only_text(make_study, tmp_path):
    study = make_study()
    models = [replace(model, label=f"{model.label} {HOSTILE}") for model in study.models]
    for model in models:
        rows = pq.read_table(model.results).to_pylist()
        for row in rows[:80]:
            row["text"] = f"<caption>{HOSTILE}</caption>{HOSTILE}<answer>{HOSTILE}</answer>"
        pq.write_table(pa.Table.from_pylist(rows), model.results)
    study = replace(
        study,
        title=HOSTILE,
        models=models,
        stand_ins=[HOSTILE],
        config={HOSTILE: HOSTILE},
        facts={HOSTILE: HOSTILE},
    )
    html, page = written(study, tmp_path / "out")
    check_self_contained(html, page)
    assert HOSTILE in "".join(page.text)
    assert "<script" not in (tmp_path / "out" / "figures" / "accuracy.svg").read_text()


def test_captions_that_describe_nothing(make_study, tmp_path):
    study = make_study()
    rows = pq.read_table(study.models[3].results).to_pylist()
    for row in rows:
        row["text"] = "no tags at all"
    pq.write_table(pa.Table.from_pylist(rows), study.models[3].results)
    html, _ = written(replace(study, models=study.models[3:]), tmp_path / "out")
    assert "no caption" in html


def test_a_huge_picture_is_refused(make_study, tmp_path):
    study = make_study(n=20)
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64, "style": "hard:0.4", "text": "cells"})
    buffer = BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    rows = [{**row, "image": buffer.getvalue()} for row in generate_rows(puzzle, "test", 0, 20)]
    write_dataset(tmp_path / "huge", {"test": rows})
    with pytest.raises(PercasymError, match="pixels"):
        write_report(replace(study, dataset=tmp_path / "huge"), tmp_path / "out")


def test_items_without_pictures(make_study, tmp_path):
    study = make_study(n=20)
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64, "style": "hard:0.4", "text": "cells"})
    rows = [{**row, "image": None} for row in generate_rows(puzzle, "test", 0, 20)]
    write_dataset(tmp_path / "blind", {"test": rows})
    html, page = written(
        replace(study, dataset=tmp_path / "blind", models=study.models[:1]), tmp_path / "out"
    )
    assert "img" not in page.tags
    assert "no picture" in html


def test_symbols_are_set_as_in_a_paper_and_the_rest_is_escaped():
    assert symbols("(a_p) <b> 95 %") == "(<var>a</var><sub>p</sub>) &lt;b&gt; 95\N{NO-BREAK SPACE}%"
    assert symbols("data_path") == "data_path"
