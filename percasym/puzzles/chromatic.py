"""Exact graph colouring for small graphs: DSATUR branching (Brélaz 1979) with the colours counted upwards."""

from collections.abc import Iterable
from functools import lru_cache

MOST_VERTICES = 26  # colours are the letters a to z, and every graph of this size is coloured in milliseconds


@lru_cache(maxsize=4096)
def colouring(v: int, edges: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Colours 0, 1, ... of the nodes 0 to v - 1, as few as possible; lower nodes get lower colours first."""
    neighbours = [0] * v
    for a, b in edges:
        neighbours[a] |= 1 << b
        neighbours[b] |= 1 << a
    start = _clique(neighbours)
    for colours in range(max(1, len(start)), v + 1):
        found = _Search(neighbours, colours).run(start)
        if found is not None:
            names: dict[int, int] = {}
            return tuple(names.setdefault(colour, len(names)) for colour in found)
    return ()  # no node at all


def _clique(neighbours: list[int]) -> list[int]:
    """A large clique, grown greedily from every node: a lower bound, and nodes that may be coloured at will."""
    best: list[int] = []
    for first in range(len(neighbours)):
        clique, left = [first], neighbours[first]
        while left:
            node = max(_members(left), key=lambda n: (neighbours[n] & left).bit_count())
            clique.append(node)
            left &= neighbours[node]
        best = max(best, clique, key=len)
    return best


def _members(mask: int) -> Iterable[int]:
    while mask:
        bit = mask & -mask
        yield bit.bit_length() - 1
        mask ^= bit


class _Search:
    def __init__(self, neighbours: list[int], colours: int) -> None:
        self.neighbours, self.colours = neighbours, colours
        self.classes = [0] * colours  # the nodes of every colour
        self.left = (1 << len(neighbours)) - 1

    def run(self, clique: list[int]) -> list[int] | None:
        """A colour for every node, or None where there are too few colours."""
        for colour, node in enumerate(clique):
            self.classes[colour] = 1 << node
            self.left ^= 1 << node
        if not self._extend(len(clique)):
            return None
        return [
            next(c for c, nodes in enumerate(self.classes) if nodes >> node & 1)
            for node in range(len(self.neighbours))
        ]

    def _extend(self, used: int) -> bool:
        if not self.left:
            return True
        node, free = min(
            ((n, self._free(n, used)) for n in _members(self.left)),
            key=lambda choice: (len(choice[1]), -(self.neighbours[choice[0]] & self.left).bit_count()),
        )
        self.left ^= 1 << node
        for colour in free:
            self.classes[colour] |= 1 << node
            if self._extend(max(used, colour + 1)):
                return True
            self.classes[colour] ^= 1 << node
        self.left ^= 1 << node
        return False

    def _free(self, node: int, used: int) -> list[int]:
        """The colours that no neighbour has; of those that no node has yet, one stands for all."""
        colours = range(min(used + 1, self.colours))
        return [colour for colour in colours if not self.classes[colour] & self.neighbours[node]]
