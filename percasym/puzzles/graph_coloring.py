"""Graph colouring: give adjacent vertices different colours, with as few colours as can be.

p* is the sorted list of edges; vertices are numbered from 0, colours are called a, b, c, ...:

    json    [[0, 1], [0, 5]]      {"0": "a", "1": "b", ...}
    cells   0 1 , 0 5             0 a 1 b ...
"""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase
from typing import Self

from PIL import Image
from pydantic import Field, model_validator

from percasym.errors import PercasymError
from percasym.puzzles import graph_reasoning
from percasym.puzzles.base import Credit, Facts, Puzzle, PuzzleConfig, Thought
from percasym.puzzles.chromatic import MOST_VERTICES, colouring, needs
from percasym.puzzles.colouring_reading import read_colours
from percasym.puzzles.graph_image import draw_graph, smallest_side
from percasym.puzzles.graph_reading import Edge, read_edges
from percasym.puzzles.reading import read_json
from percasym.puzzles.styles import parse_style

CELLS_QUERY = "describe the edges then color the graph of {v} vertices"
JSON_QUERY = """\
The image shows a graph of {v} vertices, numbered 0 to {last}. Color its vertices so that no two adjacent \
ones have the same color, with as few colors as possible.
First describe the graph: write its edges between <caption> and </caption> as a sorted JSON list of pairs of \
vertices, such as [[0, 1], [0, 5]]. Then think step by step: find the chromatic number first, then a \
coloring. At last write the coloring between <answer> and </answer> as a JSON object that gives every vertex \
one of the colors a, b, c, ..., such as {{"0": "a", "1": "b"}}."""


class GraphConfig(PuzzleConfig):
    """Size and density of graphs."""

    vertices_low: int = Field(6, ge=2, le=MOST_VERTICES, description="Fewest vertices.")
    vertices_high: int = Field(8, ge=2, le=MOST_VERTICES, description="Most vertices.")
    edge_probability: float = Field(0.4, ge=0.05, le=1.0, description="Of each pair of vertices.")
    edges_low: int = Field(0, ge=0, description="Fewest edges; used, with the most, unless that is 0.")
    edges_high: int = Field(0, ge=0, description="Most edges; 0: edge_probability decides.")
    side: int = Field(450, ge=32, le=2048, description="Width and height of the image in pixels.")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        low, high = self.vertices_low, self.vertices_high
        if low > high:
            raise ValueError(f"vertices_low {low} is more than vertices_high {high}")
        pairs = low * (low - 1) // 2
        if (self.edges_low or self.edges_high) and not 1 <= self.edges_low <= self.edges_high <= pairs:
            raise ValueError(
                f"edges_low {self.edges_low} and edges_high {self.edges_high} are no range within 1 to "
                f"{pairs}, the pairs of {low} vertices"
            )
        enough = smallest_side(high)
        if self.side < enough:
            raise ValueError(f"side {self.side} is too small for {high} vertices: {enough} will do")
        return self


EDGE, NO_EDGE = "edge", "no edge"  # the facts of a pair of vertices


@dataclass(frozen=True)
class Graph:
    """A graph of the vertices 0 to v - 1 with sorted edges (a, b), a < b, and its chromatic number c."""

    v: int
    edges: tuple[Edge, ...]
    c: int


class GraphColoringPuzzle(Puzzle[Graph]):
    """Random graphs with at least one edge, to be coloured with as few colours as can be."""

    name = "graph_coloring"
    Config = GraphConfig
    config: GraphConfig

    def generate(self, rng: random.Random) -> Graph:
        v = rng.randint(self.config.vertices_low, self.config.vertices_high)
        pairs = list(combinations(range(v), 2))
        if self.config.edges_high:
            return _graph(v, rng.sample(pairs, rng.randint(self.config.edges_low, self.config.edges_high)))
        edges: list[Edge] = []
        while not edges:
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
        return self._write(self.solve(instance))

    def ground_truth(self, instance: Graph) -> str:
        edges = [list(edge) for edge in instance.edges]
        return json.dumps({"v": instance.v, "c": instance.c, "edges": edges})

    def read_ground_truth(self, text: str) -> Graph:
        value = read_json(text)
        if isinstance(value, dict) and value.keys() == {"v", "c", "edges"}:
            v = value["v"]
            if type(v) is int and 1 <= v <= MOST_VERTICES and isinstance(value["edges"], list):
                edges, bad = read_edges(json.dumps(value["edges"]), v)
                graph = _graph(v, edges)
                if not bad and graph.c == value["c"]:
                    return graph
        raise PercasymError(
            f'no JSON {{"v", "c", "edges"}} of a graph of at most {MOST_VERTICES} vertices with its '
            f"chromatic number c: {text[:60]!r}"
        )

    def facts(self, instance: Graph) -> Facts:
        """Of each pair of vertices whether there is an edge."""
        edges = set(instance.edges)
        return {(u, v): EDGE if (u, v) in edges else NO_EDGE for v in range(instance.v) for u in range(v)}

    def fact_rows(self, instance: Graph) -> list[str]:
        """0, 1, 2 ..., the vertices."""
        return [str(vertex) for vertex in range(instance.v)]

    def solve(self, instance: Graph) -> tuple[int, ...]:
        """A colour for every vertex, 0 to c - 1."""
        return colouring(instance.v, instance.edges)

    def is_possible(self, described: Graph) -> bool:
        """Whether there is an edge: graphs without are not drawn."""
        return bool(described.edges)

    def read_perception(self, text: str, instance: Graph) -> Graph | None:
        edges, bad = read_edges(text, instance.v)
        return None if bad else _graph(instance.v, edges)

    def describes(self, text: str, instance: Graph) -> bool:
        return not read_edges(text, instance.v).bad  # the colours that the graph needs are of no concern

    def score_perception(self, instance: Graph, text: str) -> Credit:
        """Exact: the same edges. Partial: F1 of the edges, where what is no edge counts as a wrong one."""
        edges, bad = read_edges(text, instance.v)
        right = len(edges & set(instance.edges))
        total = len(edges) + bad + len(instance.edges)
        exact = not bad and right == len(edges) == len(instance.edges)
        return Credit(exact, 2 * right / total if total else 1.0)

    def read_answer(self, text: str, instance: Graph) -> Mapping[int, str] | None:
        """A colour for every vertex, be they proper or not; None where `text` does not give that."""
        colours, whole = read_colours(text, instance.v)
        return colours if whole else None

    def score_answer(self, instance: Graph, text: str) -> Credit:
        """Exact: every vertex coloured, no edge within a colour, at most c colours.

        Partial: the share of edges between two colours; with more than c colours, c / (their number) of it,
        lest a colour for every vertex look right.
        """
        colours, whole = read_colours(text, instance.v)
        edges = instance.edges
        share = _proper(colours, edges) / len(edges) if edges else float(whole)
        used = len(set(colours.values()))
        if used > instance.c:
            share *= instance.c / used
        return Credit(whole and share == 1.0, share)

    def answers_caption(self, instance: Graph, caption: str, text: str) -> bool:
        edges, bad = read_edges(caption, instance.v)
        colours, whole = read_colours(text, instance.v)
        if bad or not whole or any(colours[a] == colours[b] for a, b in edges):
            return False
        return needs(instance.v, edges, len(set(colours.values())))

    def difficulty(self, instance: Graph) -> int:
        """The number of edges."""
        return len(instance.edges)

    def reasoning(self, instance: Graph, rng: random.Random, words: int, detours: float) -> Thought:
        text, colours = graph_reasoning.think(instance, rng, words, detours)
        return Thought(text, self._write(colours))

    def vocabulary(self) -> Iterable[str]:
        return [
            *(str(number) for number in range(self.config.vertices_high + 1)),
            *ascii_lowercase[: self.config.vertices_high],
            ",",
            *CELLS_QUERY.format(v=self.config.vertices_high).split(),
            *graph_reasoning.WORDS,
        ]

    def _write(self, colours: Iterable[int]) -> str:
        letters = {str(vertex): ascii_lowercase[colour] for vertex, colour in enumerate(colours)}
        if self.config.text == "json":
            return json.dumps(letters)
        return " ".join(f"{vertex} {letter}" for vertex, letter in letters.items())


def _graph(v: int, edges: Iterable[Edge]) -> Graph:
    ordered = tuple(sorted(edges))
    return Graph(v, ordered, max(colouring(v, ordered)) + 1)


def _proper(colours: Mapping[int, str], edges: Iterable[Edge]) -> int:
    """How many edges have two ends of different colours."""
    return sum([a in colours and b in colours and colours[a] != colours[b] for a, b in edges])
