"""README.md, CONTRIBUTING.md and the pages of docs/: what they point at is there."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"#{1,6} +(.+)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}.*\n|\n(?= {4}))+")
_CODE = re.compile(r"`[^`]*`")
_FILE = re.compile(r"`((?:percasym|tasks|flows|tests|benchmarks|deployments|docs)/[\w./]*)`")
_NO_FILE = re.compile(r"\bNAME\b")


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return _INDENTED.sub("\n", _FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    found: set[str] = set()
    for line in prose(page).splitlines():
        if heading := _HEADING.fullmatch(line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1].strip().lower())
            name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            number, unique = 0, name
            while unique in found:
                number += 1
                unique = f"{name}-{number}"
            found.add(unique)
    return found


def links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_CODE.sub("`code`", prose(page))):
        if not re.match(r"[a-z]+:", target):
            yield target


def broken(page: Path) -> Iterator[str]:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, (three)\n\n[a](#one-two-three) [b](#four) [c](other.md) [d](https://x.org/y) `[e](z)`\n"
        "\n    [f](in-code.md)\n\n```\n# g\n[h](in-code.md)\n```\n[i](../page.md)\n"
    )
    assert list(broken(page)) == [
        "#four: no such heading",
        "other.md: no such file",
        "../page.md: no such file",
    ]


def test_the_index_has_every_page() -> None:
    linked = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX)}
    assert {page for page in PAGES if page != INDEX} - linked == set()


def test_every_picture_is_shown() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert set((ROOT / "docs" / "images").iterdir()) - shown == set()


def test_the_files_that_contributors_are_sent_to_exist() -> None:
    named = _FILE.findall(_INDENTED.sub("", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert len(named) > 20
    assert [name for name in named if not _NO_FILE.search(name) and not (ROOT / name).exists()] == []


def test_the_puzzle_of_the_documentation_is_that_of_the_example() -> None:
    page = (ROOT / "docs" / "puzzles.md").read_text(encoding="utf-8")
    assert f"```python\n{(ROOT / 'docs' / 'examples' / 'clock.py').read_text(encoding='utf-8')}```" in page
