"""Rows in JSON and JSONL files, which may be compressed; each is read by itself, so a bad one is alone."""

import gzip
import json
import re
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from pathlib import Path

from percasym.errors import PercasymError
from percasym.importing.found import Found, Unreadable, one_line

SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
LONGEST_LINE = 16 << 20  # bytes
LARGEST_ARRAY = 128 << 20  # bytes; JSON that is one array has to be held as a whole
# A compressed file may unpack to so many times its size, or so many bytes if that is more.
MOST_TIMES = 200
MOST_ANYWAY = 256 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{},]', re.DOTALL)


def rows_of_text(path: Path) -> Iterator[Found]:
    """The objects of a file: one a line, or, in a .json file, the elements of one array.

    Raises:
        PercasymError: an array that does not end or is too large, or a file that unpacks to too much.
        OSError, EOFError, zlib.error: it cannot be read.
    """
    with path.open("rb") as file:
        if path.suffix != ".gz":
            yield from _rows(path, file, None)
            return
        with gzip.open(file) as unpacked:
            most = max(MOST_ANYWAY, MOST_TIMES * path.stat().st_size)
            yield from _rows(path, BufferedReader(unpacked), most)


def _rows(path: Path, file: BufferedReader, most: int | None) -> Iterator[Found]:
    """The rows of an open file, which may be of `most` bytes, or of as many as it is."""
    if file.peek(3).startswith(BYTE_ORDER_MARK):
        file.read(3)
    while (head := file.peek(1)[:1]).isspace():
        file.read(1)
        _check_size(path, file, most)
    if head == b"[" and ".jsonl" not in path.suffixes:
        yield from _array(path, file)
        return
    while line := file.readline(LONGEST_LINE + 1):
        _check_size(path, file, most)
        too_long = len(line) > LONGEST_LINE
        while line and too_long and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
            _check_size(path, file, most)
        if too_long:
            yield Unreadable(f"its line is longer than {LONGEST_LINE:,} bytes")
        elif line.strip():
            yield _object("line", line)


def _check_size(path: Path, file: BufferedReader, most: int | None) -> None:
    if most is not None and file.tell() > most:
        raise PercasymError(f"{path} unpacks to more than {most:,} bytes: unpack it first, if you trust it")


def _array(path: Path, file: BufferedReader) -> Iterator[Found]:
    """The elements of an array; the lines, if after the end of the first one there is more."""
    text = file.read(LARGEST_ARRAY + 1)
    if len(text) > LARGEST_ARRAY:
        raise PercasymError(
            f"{path} is one JSON array of more than {LARGEST_ARRAY:,} bytes: write JSONL, an object a line"
        )
    spans, end = _elements(text)
    if end is None:
        raise PercasymError(f"{path} is no JSON: its array does not end")
    if text[end:].strip():
        yield from (_object("line", line) for line in BytesIO(text) if line.strip())
    else:
        yield from (_object("element", text[start:stop]) for start, stop in spans)


def _elements(text: bytes) -> tuple[list[tuple[int, int]], int | None]:
    """Where the elements of an array begin and end, whatever they are, and where it does itself.

    They are told apart by strings, brackets and commas alone.
    """
    spans = []
    depth = start = 0
    for token in TOKEN.finditer(text):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                start = start or token.end()
            case b"]" | b"}":
                depth -= 1
            case b"," if depth == 1:
                spans.append((start, token.start()))
                start = token.end()
        if not depth:
            if spans or text[start : token.start()].strip():
                spans.append((start, token.start()))
            return spans, token.end()
    return spans, None


def _object(what: str, text: bytes) -> Found:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Unreadable(f"its {what} is no JSON ({one_line(error)})")
    return value if isinstance(value, dict) else Unreadable(f"its {what} is no JSON object")
