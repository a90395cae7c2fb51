"""Artifacts hold what models write and users name as text, whatever it looks like."""

import json
import random
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from percasym.datasets import write_dataset
from percasym.images import encode_image
from percasym.puzzles import load_puzzle, spec
from tasks import progress, show

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "![](https://evil.example/pixel.png)",
    "https://evil.example/login www.evil.example <https://evil.example>",
    "| a | b |\n| - | - |\n| x | y |",
    "</pre>\n\n# Heading\n\n[a]: javascript:alert(1)\n\n[a]",
    "```\n\n* item\n\n1. item\n\n> quote\n\n---",
    "`code` **bold** _it_ ~~gone~~ $x$ &lt;b&gt; &#60;i&#62; \\\\[x](http://e)",
    "<!-- \n\n <style>*{display:none}</style>",
    "a@evil.example \\\n<a href=//evil.example>x</a>",
)
OURS = {"img", "pre", "h3", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}


class Read(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Read:
    """Markdown as GitHub's dialect reads it, with HTML in it, as Prefect's does."""
    return Read(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))


def harmless(markdown: str) -> Read:
    found = rendered(markdown)
    for tag, attributes in found.tags:
        assert tag in OURS, tag
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
    # what others would make a link of, where it is a text amid others
    outside = re.sub(r"(?s)<pre.*?</pre>|<img[^>]*>", "", markdown)
    assert not re.search(r"https?://|www\.|\w@\w", outside)
    return found


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The artifacts that were made."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(show, "create_markdown_artifact", lambda text, key: made.append({"text": text}))

    def keep_table(table: Any, key: str, description: str) -> None:
        made.append({"table": table, "text": description})

    monkeypatch.setattr(show, "create_table_artifact", keep_table)
    return made


@pytest.mark.parametrize("text", HOSTILE)
def test_text_amid_a_line_is_shown_as_it_is(text: str) -> None:
    assert squeezed(harmless(f"| {show.plain(text)} |\n| --- |").text) == squeezed(text)
    assert squeezed(harmless(f"### {show.plain(text)}").text) == squeezed(text)
    assert squeezed(harmless(show.plain(text)).text) == squeezed(text)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert squeezed(harmless(f"x {show.plain(text)}").text) == squeezed(f"x {text}")


@pytest.mark.parametrize("text", HOSTILE)
def test_samples_and_responses(text: str, tmp_path: Path, kept: list[dict[str, Any]]) -> None:
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
    image = encode_image(puzzle.render(puzzle.item("test", 0, 0).instance, random.Random(0)))
    row = {"id": text, "query": text, "image": image, "ground_truth": "", "perception": text}
    row |= {"puzzle": spec(puzzle), "prefix": "", "response": text}
    write_dataset(tmp_path, {"train_sft": [row]})
    show.show_samples(tmp_path, "train_sft", text)
    show.show_response(tmp_path, "train_sft")
    for artifact in kept:
        assert squeezed(harmless(artifact["text"]).text).count(squeezed(text)) == 2
    (image_shown,) = [attributes for tag, attributes in rendered(kept[0]["text"]).tags if tag == "img"]
    assert image_shown["alt"] == squeezed(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_failures_and_figures(text: str, tmp_path: Path, kept: list[dict[str, Any]]) -> None:
    (tmp_path / "picture.png").write_bytes(b"")
    row = {"outcome": "perception", "picture": {"filepath": "picture.png"}}
    row |= dict.fromkeys(("id", "p*", "caption", "answer"), text)
    show.show_failures(tmp_path, [row], text, "0123")
    assert squeezed(harmless(kept[0]["text"]).text).count(squeezed(text)) == 5


@pytest.mark.parametrize("text", HOSTILE)
def test_a_study_and_its_tables(text: str, kept: list[dict[str, Any]]) -> None:
    figures = {"a": None, "a_p": None, "a_r": None}
    show.show_study({text: figures}, {text: "0123"}, f"/home/{text}/report.html")
    found = harmless(kept[0]["text"])
    assert squeezed(found.text).count(squeezed(text)) == 3
    assert [tag for tag, _ in found.tags].count("td") == 4 + 2
    show.show_table("key", [{"text": text, "list": [text], "number": 0.25, "count": 3, "none": None}], text)
    (row,) = kept[1]["table"]
    assert (row["number"], row["count"], row["none"]) == ("0.25", 3, None)
    for cell, whole in ((row["text"], text), (row["list"], json.dumps([text])), (kept[1]["text"], text)):
        assert squeezed(harmless(cell).text) == squeezed(whole)


@pytest.mark.parametrize("text", HOSTILE)
def test_progress(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(progress.TaskRunContext, "get", lambda: "a task")
    monkeypatch.setattr(
        progress, "create_progress_artifact", lambda share, description: told.append(description)
    )
    progress.Progress("sft", text)(1, 2)
    assert squeezed(harmless(told[0]).text) == squeezed(f"sft {text}")
