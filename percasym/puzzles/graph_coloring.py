"""Graph colouring: give adjacent nodes different colours, with as few colours as can be.

p* is the sorted list of edges; nodes are numbered from 0, colours are called a, b, c, ...

    json    [[0, 1], [0, 5]]      {"0": "a", "1": "b", ...}
    cells   0 1 , 0 5             0 a 1 b ...
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase
from typing import Any, Self

from PIL import Image
from pydantic import Field, model_validator

from percasym.errors import PercasymError
from percasym.puzzles.base import Credit, Puzzle, PuzzleConfig, Thought
from percasym.puzzles.chromatic import MOST_VERTICES, colouring
from percasym.puzzles.graph_image import draw_graph
from percasym.puzzles.reading import is_json, read_json, read_words
from percasym.puzzles.styles import parse_style

CELLS_QUERY = "describe the edges then color the graph of {v} vertices"
JSON_QUERY = """\
The image shows a graph of {v} vertices, numbered 0 to {last}. Color its vertices so that no two adjacent ones have \
the same color, with as few colors as possible.
First describe the graph: write its edges between <caption> and </caption> as a sorted JSON list of pairs of vertices, \
such as [[0, 1], [0, 5]]. Then think step by step: find the chromatic number first, then a coloring. At last write the \
coloring between <answer> and </answer> as a JSON object that gives every vertex one of the colors a, b, c, ..., such \
as {{"0": "a", "1": "b"}}."""

Edge = tuple[int, int]


class GraphConfig(PuzzleConfig):
    """Size and density of graphs."""

    vertices_low: int = Field(6, ge=2, le=MOST_VERTICES, description="Fewest vertices.")
    vertices_high: int = Field(8, ge=2, le=MOST_VERTICES, description="Most vertices.")
    edge_probability: float = Field(0.4, ge=0.05, le=1.0, description="Of every pair of vertices.")
    edges_low: int = Field(0, ge=0, description="Fewest edges; 0 and 0: edge_probability decides.")
    edges_high: int = Field(0, ge=0, description="Most edges; 0 and 0: edge_probability decides.")
    side: int = Field(450, ge=32, le=2048, description="Width and height of the image in pixels.")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.vertices_low > self.vertices_high:
            raise ValueError(f"vertices_low {self.vertices_low} is more than vertices_high {self.vertices_high}")
        pairs = self.vertices_low * (self.vertices_low - 1) // 2
        if self.edges_high and not 1 <= self.edges_low <= self.edges_high <= pairs:
            raise ValueError(
                f"edges_low {self.edges_low} to edges_high {self.edges_high} is no range within 1 to {pairs}, the "
                f"pairs of {self.vertices_low} vertices"
            )
        if self.edges_low and not self.edges_high:
            raise ValueError("edges_low needs edges_high")
        return self


@dataclass(frozen=True)
class Graph:
    """A graph of the nodes 0 to v - 1 with sorted edges (a, b), a < b, and its chromatic number c."""

    v: int
    edges: tuple[Edge, ...]
    c: int


class GraphColoringPuzzle(Puzzle[Graph]):
    """Random graphs, to be coloured with their chromatic number of colours."""

    name = "graph_coloring"
    Config = GraphConfig
    config: GraphConfig

    def generate(self, rng: random.Random) -> Graph:
        v = rng.randint(self.config.vertices_low, self.config.vertices_high)
        pairs = list(combinations(range(v), 2))
        edges: list[Edge] = []
        while not edges:
            if self.config.edges_high:
                edges = rng.sample(pairs, rng.randint(self.config.edges_low, self.config.edges_high))
            else:
                edges = [pair for pair in pairs if rng.random() < self.config.edge_probability]
        return _graph(v, edges)

    def render(self, instance: Graph, rng: random.Random, style: str | None = None) -> Image.Image:
        look = parse_style(style or self.config.style)
        return draw_graph(instance.v, instance.edges, self.config.side, look, rng)

    def query(self, instance: Graph) -> str:
        text = JSON_QUERY if self.config.text == "json" else CELLS_QUERY
        return text.format(v=instance.v, last=instance.v - 1)

    def perception(self, instance: Graph) -> str:
        if self.config.text == "json":
            return json.dumps([list(edge) for edge in instance.edges])
        return " , ".join(f"{a} {b}" for a, b in instance.edges)

    def answer(self, instance: Graph) -> str:
        return self.write_answer(self.solve(instance))

    def write_answer(self, colours: Iterable[int]) -> str:
        """The answer that gives node i the colour `colours[i]`, 0 for a."""
        names = {str(node): ascii_lowercase[colour] for node, colour in enumerate(colours)}
        if self.config.text == "json":
            return json.dumps(names)
        return " ".join(f"{node} {colour}" for node, colour in names.items())

    def ground_truth(self, instance: Graph) -> str:
        return json.dumps({"v": instance.v, "c": instance.c, "edges": [list(edge) for edge in instance.edges]})

    def read_ground_truth(self, text: str) -> Graph:
        value = read_json(text)
        if isinstance(value, dict) and value.keys() == {"v", "c", "edges"}:
            v = value["v"]
            if type(v) is int and 1 <= v <= MOST_VERTICES:
                edges, bad = _edges_of(value["edges"], v)
                if not bad:
                    graph = _graph(v, edges)
                    if graph.c == value["c"]:
                        return graph
                    raise PercasymError(f"this graph's chromatic number is {graph.c}, not {value['c']}: {text[:60]!r}")
        raise PercasymError(
            f'this ground truth is no graph of at most {MOST_VERTICES} vertices as {{"v", "c", "edges"}}: {text[:60]!r}'
        )

    def solve(self, instance: Graph) -> tuple[int, ...]:
        """A colour for every node, 0 to c - 1."""
        return colouring(instance.v, instance.edges)

    def read_perception(self, text: str, instance: Graph) -> Graph | None:
        edges, bad = _read_edges(text, instance.v)
        return None if bad else _graph(instance.v, edges)

    def score_perception(self, instance: Graph, text: str) -> Credit:
        """Exact: the same set of edges. Partial: F1 of the edges; what is no edge counts as a wrong one."""
        edges, bad = _read_edges(text, instance.v)
        right = len(edges.intersection(instance.edges))
        total = len(edges) + bad + len(instance.edges)
        partial = 2 * right / total if total else 1.0
        return Credit(not bad and right == len(edges) == len(instance.edges), partial)

    def score_answer(self, instance: Graph, text: str) -> Credit:
        """Exact: every node coloured, no edge within a colour, at most c colours.

        Partial: the share of edges with two different colours, times c / (colours used) where that is below 1, lest a
        colour of its own for every node look right.
        """
        colours, complete = _read_colours(text, instance.v)
        proper = sum(a in colours and b in colours and colours[a] != colours[b] for a, b in instance.edges)
        share = proper / len(instance.edges) if instance.edges else float(complete)
        share *= min(1.0, instance.c / max(1, len(set(colours.values()))))
        return Credit(complete and share == 1.0, share)

    def reasoning(self, instance: Graph, rng: random.Random, words: int, detours: float) -> Thought:
        from percasym.puzzles import graph_reasoning

        text, colours = graph_reasoning.think(instance, rng, words, detours)
        return Thought(text, self.write_answer(colours))

    def vocabulary(self) -> Iterable[str]:
        from percasym.puzzles import graph_reasoning

        numbers = [str(number) for number in range(self.config.vertices_high + 1)]
        return [
            *numbers,
            ",",
            *ascii_lowercase[: self.config.vertices_high],
            *CELLS_QUERY.format(v="").split(),
            *graph_reasoning.WORDS,
        ]


def _graph(v: int, edges: Iterable[Edge]) -> Graph:
    ordered = tuple(sorted(edges))
    return Graph(v, ordered, max(colouring(v, ordered), default=-1) + 1)


def _read_edges(text: str, v: int) -> tuple[set[Edge], int]:
    """The edges that `text` lists, in either format, and how many of its parts are none."""
    if is_json(text):
        return _edges_of(read_json(text), v)
    words = " ".join(read_words(text))
    if not words:
        return set(), 1
    numbers = {str(node): node for node in range(v)}
    return _edges_of([[numbers.get(word) for word in part.split()] for part in words.split(",")], v)


def _edges_of(value: Any, v: int) -> tuple[set[Edge], int]:
    """The edges among the pairs of `value`, each as (low, high), and how many of its parts are none."""
    if not isinstance(value, list):
        return set(), 1
    edges, bad = set(), 0
    for pair in value:
        if isinstance(pair, list) and len(pair) == 2 and all(type(node) is int and 0 <= node < v for node in pair):
            a, b = pair
            if a != b:
                edges.add((min(a, b), max(a, b)))
                continue
        bad += 1
    return edges, bad


def _read_colours(text: str, v: int) -> tuple[dict[int, str], bool]:
    """The colour of every node that `text` gives one, and whether it colours each node once and nothing else."""
    pairs: list[tuple[str, Any]]
    if is_json(text):
        value = read_json(text)
        pairs = list(value.items()) if isinstance(value, dict) else []
        complete = len(pairs) == v
    else:
        words = read_words(text)
        pairs = list(zip(words[::2], words[1::2], strict=False))
        complete = len(words) == 2 * v
    numbers = {str(node): node for node in range(v)}
    colours = {
        numbers[node]: colour
        for node, colour in pairs
        if node in numbers and isinstance(colour, str) and len(colour) == 1 and colour in ascii_lowercase
    }
    return colours, complete and len(colours) == v
