"""Exact colouring of small graphs, colours counted upwards.

DSATUR branching (Brélaz, CACM 22(4), 1979) is quick for nearly all graphs, and slow to see that some regular
ones lack a colour. So it is given up after `MOST_NODES` nodes, and colour classes are taken away one by one
instead (Christofides, The Computer Journal 14(1), 1971), which takes some hundredths of a second at worst.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

MOST_VERTICES = 26  # colours are the letters a to z
MOST_NODES = 200  # of a search by DSATUR


@lru_cache(maxsize=1024)
def colouring(v: int, edges: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Colours 0, 1, ... for the nodes 0 to v - 1, as few as can be, numbered in the order of the nodes."""
    neighbours = _neighbours(v, edges)
    clique = _clique(neighbours)
    colours = len(clique)
    while (found := _coloured(neighbours, clique, colours)) is None:
        colours += 1
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(colour, len(numbers)) for colour in found)


def needs(v: int, edges: Iterable[tuple[int, int]], colours: int) -> bool:
    """Whether the graph cannot be coloured with fewer than `colours` colours."""
    neighbours = _neighbours(v, edges)
    clique = _clique(neighbours)
    return len(clique) >= colours or _coloured(neighbours, clique, colours - 1) is None


def _coloured(neighbours: list[int], clique: list[int], colours: int) -> list[int] | None:
    """A colour for every node, or None where the colours, not fewer than `clique` wants, do not suffice."""
    try:
        classes = _Search(neighbours, colours).run(clique)
    except _GivenUpError:
        classes = _Classes(neighbours).cover((1 << len(neighbours)) - 1, colours)
    if classes is None:
        return None
    nodes = range(len(neighbours))
    return [next(c for c, members in enumerate(classes) if members >> node & 1) for node in nodes]


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


class _GivenUpError(Exception):
    """A search took more than `MOST_NODES` nodes."""


class _Search:
    """Depth-first search that colours next the node with the fewest free colours.

    Node sets are bit masks: the neighbours of every node, the nodes of every colour, the nodes left.
    """

    def __init__(self, neighbours: list[int], colours: int) -> None:
        self.neighbours = neighbours
        self.classes = [0] * colours
        self.left = (1 << len(neighbours)) - 1
        self.nodes = 0

    def run(self, clique: list[int]) -> list[int] | None:
        """The nodes of every colour, or None where the colours do not suffice."""
        for colour, node in enumerate(clique):
            self._move(node, colour)
        return self.classes if self._extend(len(clique)) else None

    def _extend(self, used: int) -> bool:
        if not self.left:
            return True
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _GivenUpError
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


class _Classes:
    """Covers nodes with independent sets, one for each colour; node sets are bit masks.

    Some node has a colour, and its class may as well be a maximal independent set. The largest independent
    set bounds what the other classes can cover, and so how small this one may be. What was found to have no
    cover is not tried again.
    """

    def __init__(self, neighbours: list[int]) -> None:
        self.neighbours = neighbours
        self.largest = {0: 0}  # independent set within a mask
        self.hopeless: set[tuple[int, int]] = set()

    def cover(self, nodes: int, colours: int) -> list[int] | None:
        """As many disjoint independent sets as there are colours, which cover `nodes`, or None."""
        if colours <= 2:
            sides = self._sides(nodes)
            return sides[:colours] if sides and (colours == 2 or not sides[1]) else None
        easy: list[int] = []  # nodes with fewer neighbours than colours: they always find one
        count = -1
        while len(easy) > count:
            count = len(easy)
            for node in _members(nodes):
                if self._degree(node, nodes) < colours:
                    easy.append(node)
                    nodes ^= 1 << node
        classes = self._branch(nodes, colours) if nodes else [0] * colours
        if classes is not None:
            for node in reversed(easy):
                free = next(c for c, members in enumerate(classes) if not members & self.neighbours[node])
                classes[free] |= 1 << node
        return classes

    def _branch(self, nodes: int, colours: int) -> list[int] | None:
        least = nodes.bit_count() - (colours - 1) * self._largest(nodes)
        if least > self._largest(nodes) or (nodes, colours) in self.hopeless:
            return None
        first = max(_members(nodes), key=lambda node: self._degree(node, nodes))
        for chosen in sorted(self._sets(first, nodes, least), key=int.bit_count, reverse=True):
            rest = self.cover(nodes & ~chosen, colours - 1)
            if rest is not None:
                return [chosen, *rest]
        self.hopeless.add((nodes, colours))
        return None

    def _sets(self, first: int, nodes: int, least: int) -> list[int]:
        """The maximal independent sets of at least `least` nodes with `first` in them (Bron and Kerbosch)."""
        sets: list[int] = []

        def extend(chosen: int, free: int, done: int) -> None:
            if not free and not done:
                sets.append(chosen)
            if not free or chosen.bit_count() + free.bit_count() < least:
                return
            pivot = min(_members(free | done), key=lambda node: self._degree(node, free))
            for node in _members(free & (self.neighbours[pivot] | 1 << pivot)):
                gone = self.neighbours[node] | 1 << node
                extend(chosen | 1 << node, free & ~gone, done & ~gone)
                free ^= 1 << node
                done |= 1 << node

        extend(1 << first, nodes & ~self.neighbours[first] & ~(1 << first), 0)
        return sets

    def _largest(self, nodes: int) -> int:
        """The size of the largest independent set among `nodes`."""
        size = self.largest.get(nodes)
        if size is None:
            degrees = {node: self._degree(node, nodes) for node in _members(nodes)}
            node = min(degrees, key=degrees.__getitem__)
            if degrees[node] > 1:  # else it is in one that is as large as any
                node = max(degrees, key=degrees.__getitem__)
            size = 1 + self._largest(nodes & ~self.neighbours[node] & ~(1 << node))
            if degrees[node] > 1:
                size = max(size, self._largest(nodes & ~(1 << node)))
            self.largest[nodes] = size
        return size

    def _sides(self, nodes: int) -> list[int] | None:
        """Two independent sets that cover `nodes`, or None where there is an odd cycle."""
        sides = [0, 0]
        while left := nodes & ~sides[0] & ~sides[1]:
            border, side = left & -left, 0
            while border:
                sides[side] |= border
                joined = self._joined(border) & nodes
                if joined & sides[side]:
                    return None
                side = 1 - side
                border = joined & ~sides[side]
        return sides

    def _joined(self, nodes: int) -> int:
        joined = 0
        for node in _members(nodes):
            joined |= self.neighbours[node]
        return joined

    def _degree(self, node: int, nodes: int) -> int:
        return (self.neighbours[node] & nodes).bit_count()
