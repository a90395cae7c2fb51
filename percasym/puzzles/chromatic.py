"""Exact colouring of small graphs: DSATUR branching (Brélaz, CACM 22(4), 1979), colours counted upwards."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

MOST_VERTICES = 26  # colours are the letters a to z


@lru_cache(maxsize=4096)
def colouring(v: int, edges: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Colours 0, 1, ... for the nodes 0 to v - 1, as few as can be, numbered in the order of the nodes."""
    neighbours = _neighbours(v, edges)
    clique = _clique(neighbours)
    colours = len(clique)
    while (found := _Search(neighbours, colours).run(clique)) is None:
        colours += 1
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(colour, len(numbers)) for colour in found)


def needs(v: int, edges: Iterable[tuple[int, int]], colours: int) -> bool:
    """Whether the graph cannot be coloured with fewer than `colours` colours."""
    neighbours = _neighbours(v, edges)
    clique = _clique(neighbours)
    return len(clique) >= colours or _Search(neighbours, colours - 1).run(clique) is None


def _neighbours(v: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """For every node the mask of the nodes joined to it."""
    neighbours = [0] * v
    for a, b in edges:
        neighbours[a] |= 1 << b
        neighbours[b] |= 1 << a
    return neighbours


def _clique(neighbours: list[int]) -> list[int]:
    """Nodes that are all joined to each other, as many as greed finds: each needs a colour of its own."""
    clique: list[int] = []
    left = (1 << len(neighbours)) - 1
    while left:
        joined = {node: (neighbours[node] & left).bit_count() for node in _members(left)}
        node = max(joined, key=joined.__getitem__)
        clique.append(node)
        left &= neighbours[node]
    return clique


def _members(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit.bit_length() - 1
        mask ^= bit


class _Search:
    """Depth-first search that colours next the node with the fewest free colours.

    Node sets are bit masks: the neighbours of every node, the nodes of every colour, the nodes left.
    """

    def __init__(self, neighbours: list[int], colours: int) -> None:
        self.neighbours = neighbours
        self.classes = [0] * colours
        self.left = (1 << len(neighbours)) - 1

    def run(self, clique: list[int]) -> list[int] | None:
        """A colour for every node, or None where the colours do not suffice."""
        for colour, node in enumerate(clique):
            self._move(node, colour)
        if not self._extend(len(clique)):
            return None
        nodes = range(len(self.neighbours))
        return [next(c for c, members in enumerate(self.classes) if members >> node & 1) for node in nodes]

    def _extend(self, used: int) -> bool:
        if not self.left:
            return True
        node, free = min(((node, self._free(node, used)) for node in _members(self.left)), key=self._freedom)
        for colour in free:
            self._move(node, colour)
            if self._extend(max(used, colour + 1)):
                return True
            self._move(node, colour)
        return False

    def _free(self, node: int, used: int) -> list[int]:
        """The colours that no neighbour of `node` has; of those that nobody has yet, one stands for all."""
        colours = range(min(used + 1, len(self.classes)))
        return [colour for colour in colours if not self.classes[colour] & self.neighbours[node]]

    def _freedom(self, choice: tuple[int, list[int]]) -> tuple[int, int]:
        node, free = choice
        return len(free), -(self.neighbours[node] & self.left).bit_count()

    def _move(self, node: int, colour: int) -> None:
        """Give `node` that colour, or take it away again."""
        self.classes[colour] ^= 1 << node
        self.left ^= 1 << node
