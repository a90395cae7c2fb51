"""The chain of thought of a solver at a graph colouring; search_in_words.py shows what it reads like.

It opens with the number of colours, `colors 3 : 0 1 5 ;`, and where there are as many vertices that are all
joined to each other it names them: that is why fewer will not do. The rest shows that as many are enough.
"""

from __future__ import annotations

import random
from string import ascii_lowercase
from typing import TYPE_CHECKING

from percasym.puzzles import search_in_words
from percasym.puzzles.search_in_words import Problem

if TYPE_CHECKING:  # graph_coloring.py imports this module
    from percasym.puzzles.graph_coloring import Graph

COLORS, EDGE = "colors", "edge"
WORDS: tuple[str, ...] = (*search_in_words.WORDS, COLORS, EDGE)  # every word but the vertices and colours


def think(graph: Graph, rng: random.Random, words: int, detours: float) -> tuple[str, tuple[int, ...]]:
    """A chain of thought of about `words` words, and the colouring it arrives at: 0 to c - 1 for each vertex.

    Every look lists all neighbours of a vertex. `detours` is the probability of a wrong turn before each
    step, and of trying the colours in another order than a, b, c, ...

    Raises:
        PercasymError: the graph has no colouring with c colours.
    """
    neighbours: list[list[int]] = [[] for _ in range(graph.v)]
    for a, b in graph.edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    problem = Problem(
        places=[str(vertex) for vertex in range(graph.v)],
        values=ascii_lowercase[: graph.c],
        given=[0] * graph.v,
        neighbours=neighbours,
        groups=[(EDGE, edge) for edge in graph.edges],
        list_blanks=True,
        ordered=True,
    )
    clique = _clique(neighbours, graph.c, rng)
    opening = [COLORS, str(graph.c), *([":", *map(str, clique)] if clique else []), ";"]
    text, state = search_in_words.think(problem, rng, words, detours, opening)
    return text, tuple(value - 1 for value in state)


def _clique(neighbours: list[list[int]], size: int, rng: random.Random) -> list[int]:
    """Any `size` vertices that are all joined to each other, in random order; [] where there are none."""
    order = rng.sample(range(len(neighbours)), len(neighbours))

    def grow(clique: list[int], candidates: list[int]) -> list[int]:
        if len(clique) == size:
            return clique
        for number, vertex in enumerate(candidates):
            joined = [other for other in candidates[number + 1 :] if other in neighbours[vertex]]
            if len(clique) + 1 + len(joined) >= size:
                found = grow([*clique, vertex], joined)
                if found:
                    return found
        return []

    return grow([], order)
