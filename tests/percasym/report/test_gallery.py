import random
import re
from dataclasses import replace

import pytest
from fixtures.pages import HOSTILE, Page, check_self_contained
from PIL import Image

from percasym.datasets import iter_split, write_dataset
from percasym.diagnostics.records import read_results
from percasym.errors import PercasymError
from percasym.images import encode_image
from percasym.report.gallery import FLIPS, write_gallery
from percasym.report.samples import Answered, answered, take_turns


def models_of(study, *names):
    known = {model.name: model for model in study.models}
    return [answered(known[name].label, read_results(known[name].results)) for name in names]


def written(path, *arguments, **options):
    gallery = write_gallery(path, *arguments, **options)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    check_self_contained(html, page)
    return gallery, html, page


def classes(page):
    return [value.split() for tag, name, value in page.attributes if (tag, name) == ("article", "class")]


def test_the_items_of_one_model(whole_study, tmp_path):
    models = models_of(whole_study, "ngdiff")
    gallery, html, page = written(
        tmp_path / "gallery.html", "A title", models, whole_study.dataset, "test", limit=20
    )
    assert len(classes(page)) == 20 == len(gallery.anchors)
    outcomes = [row["cause"] for row in models[0].rows.values()]
    assert {group.name: group.in_all for group in gallery.shown} == {
        name: outcomes.count(name) for name in set(outcomes)
    }
    assert "20 of 60 items: " in html
    for group in gallery.shown:
        assert sum(f"after-{group.name}" in names for names in classes(page)) == group.on_page
        assert group.on_page > 0  # each has its turn
    assert page.tags.count("img") == 20


def test_each_filter_has_its_button_and_its_rule(whole_study, tmp_path):
    models = models_of(whole_study, "token_mean", "ngdiff")
    _, html, page = written(tmp_path / "gallery.html", "Two", models, whole_study.dataset, "test")
    ids = {value for tag, name, value in page.attributes if (tag, name) == ("input", "id")}
    pressed = {value for tag, name, value in page.attributes if (tag, name) == ("label", "for")}
    assert ids == pressed
    groups = {id for id in ids if id != "texts" and not id.endswith("-all")}
    assert {"flip-gained", "flip-lost", "before-perception", "after-right"} <= groups
    for group in groups:
        assert f"#{group}:checked ~ main > .sample:not(.{group}) {{ display: none; }}" in html
        told = re.search(rf'<label for="{group}">[^<]* (\d+)</label>', html)
        assert sum(group in names for names in classes(page)) == int(told[1]) > 0


def test_two_models_side_by_side_flipped_items_first(whole_study, tmp_path):
    before, after = models_of(whole_study, "token_mean", "ngdiff")
    gallery, html, page = written(
        tmp_path / "gallery.html", "Two", [before, after], whole_study.dataset, "test", only=FLIPS
    )
    flipped = {id: row["a"] for id, row in after.rows.items() if row["a"] != before.rows[id]["a"]}
    assert gallery.anchors.keys() == flipped.keys()
    assert [group.name for group in gallery.shown] == list(FLIPS)
    assert html.count("▲ gained") == sum(flipped.values())
    assert html.count("▼ lost") == len(flipped) - sum(flipped.values())
    assert page.tags.count("h3") == 6 * len(flipped)  # picture, p*, two captions, two replies
    places = {value for _, name, value in page.attributes if name == "id"}
    assert set(gallery.anchors.values()) <= places


def test_a_lost_item_has_a_cause_too(whole_study, tmp_path):
    before, after = models_of(whole_study, "ngdiff", "base")
    gallery, _, page = written(
        tmp_path / "gallery.html", "Two", [before, after], whole_study.dataset, "test", only=["perception"]
    )
    assert all("after-perception" in names for names in classes(page))
    assert sum(row["cause"] == "perception" for row in after.rows.values()) == len(gallery.anchors)
    assert "lost" in {group.name for group in gallery.shown}


def test_few_right_ones_beside_all_failures(whole_study, tmp_path):
    models = models_of(whole_study, "ngdiff")
    gallery, _, _ = written(
        tmp_path / "gallery.html", "Failures", models, whole_study.dataset, "test", right=2
    )
    for group in gallery.shown:
        assert group.on_page == (min(2, group.in_all) if group.name in ("right", "lucky") else group.in_all)


def test_hostile_text_is_only_text(whole_study, tmp_path):
    models = [
        Answered(
            f"{model.label} {HOSTILE}",
            {
                id: {**row, "text": f"<caption>{HOSTILE}</caption>{HOSTILE}<answer>{HOSTILE}</answer>"}
                for id, row in model.rows.items()
            },
        )
        for model in models_of(whole_study, "base", "ngdiff")
    ]
    _, html, page = written(tmp_path / "gallery.html", HOSTILE, models, whole_study.dataset, "test", limit=9)
    text = "".join(page.text)
    assert text.count(HOSTILE) > 9 * 4
    assert page.tags.count("style") == 1
    assert page.tags.count("article") == 9
    assert "<script" not in html


def test_endless_texts_are_cut(whole_study, tmp_path):
    (model,) = models_of(whole_study, "ngdiff")
    endless = f"<caption>{'x' * 500_000}</caption>{'y ' * 500_000}<answer>{'z' * 500_000}</answer>"
    rows = {id: {**row, "text": endless} for id, row in list(model.rows.items())[:3]}
    path = tmp_path / "gallery.html"
    written(path, "Endless", [Answered("endless", rows)], whole_study.dataset, "test")
    assert path.stat().st_size < 300_000


def test_large_pictures_are_kept_small(make_study, tmp_path):
    study = make_study(n=6)
    rng = random.Random(0)
    noise = encode_image(Image.frombytes("RGB", (600, 600), rng.randbytes(600 * 600 * 3)))
    rows = [{**row, "image": noise} for row in iter_split(study.dataset, "test")]
    write_dataset(tmp_path / "large", {"test": rows})
    path = tmp_path / "gallery.html"
    _, html, _ = written(path, "Large", models_of(study, "base"), tmp_path / "large", "test")
    assert "data:image/webp" in html
    assert path.stat().st_size < 6 * len(noise) / 4


def test_graphs(make_study, tmp_path):
    study = make_study("graph_coloring", n=12)
    _, html, page = written(
        tmp_path / "gallery.html", "Graphs", models_of(study, "ngdiff"), study.dataset, "test"
    )
    assert "line" in page.tags
    assert page.tags.count("article") == 12
    assert "12 of 12 items." in html


@pytest.mark.parametrize(
    ("names", "only", "message"),
    [
        (["ngdiff"], ["gained"], "no group of items 'gained'; choose from right, lucky"),
        (["base", "ngdiff"], ["nonsense"], "choose from gained, lost, right"),
        (["faultless"], ["format", "both"], "no item is both or format; choose from right"),
    ],
)
def test_a_wrong_group_is_told(whole_study, tmp_path, names, only, message):
    (model,) = models_of(whole_study, "ngdiff")
    right = {id: row for id, row in model.rows.items() if row["cause"] == "right"}
    faultless = [Answered("faultless", right)]
    models = faultless if names == ["faultless"] else models_of(whole_study, *names)
    with pytest.raises(PercasymError, match=message):
        write_gallery(tmp_path / "gallery.html", "", models, whole_study.dataset, "test", only=only)
    assert not (tmp_path / "gallery.html").exists()


def test_different_items_cannot_stand_side_by_side(whole_study, tmp_path):
    before, after = models_of(whole_study, "base", "ngdiff")
    fewer = replace(after, rows=dict(list(after.rows.items())[1:]))
    with pytest.raises(PercasymError, match="different items"):
        write_gallery(tmp_path / "gallery.html", "", [before, fewer], whole_study.dataset, "test")


def test_a_folder_that_cannot_be_written_is_told(whole_study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PercasymError, match="cannot write"):
        write_gallery(
            tmp_path / "file" / "gallery.html",
            "",
            models_of(whole_study, "base"),
            whole_study.dataset,
            "test",
            limit=1,
        )


def test_each_group_has_its_turn():
    assert take_turns([["a", "b", "c"], ["d"], [], ["e", "f"]], 5) == ["a", "d", "e", "b", "f"]
    assert take_turns([], 5) == []
