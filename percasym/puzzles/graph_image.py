"""The picture of a graph: numbered nodes near a circle, and edges that keep clear of other nodes."""

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

from percasym.puzzles.drawing import add_noise, draw_label
from percasym.puzzles.styles import Color, Style

CIRCLE = 0.38  # radius of the circle of nodes, of the image's side
LARGEST = 0.1  # radius of a node, of the image's side
SMALLEST = (4, 6)  # radius of a node in pixels for numbers of one and two digits
TRIES = 16  # layouts, each nearer to the circle than the one before
GRAINS = 6  # of noise along a node's radius
BLUE = (0.55, 0.76, 0.94)

Point = tuple[float, float]
Edge = tuple[int, int]


def node_radius(v: int, side: float) -> float:
    """Radius of the nodes of a graph of `v` nodes, in pixels as `side` is.

    On the circle they keep clear of each other, and of the edges that pass them most closely: those between
    their two neighbours.
    """
    next_node = 2 * CIRCLE * math.sin(math.pi / v)
    next_edge = CIRCLE * (1 - math.cos(2 * math.pi / v))
    return side * min(LARGEST, 0.34 * next_node, 0.8 * next_edge)


def smallest_side(v: int) -> int:
    """Side in pixels from which on the numbers of `v` nodes can be read."""
    return math.ceil(SMALLEST[v > 10] / node_radius(v, 1))


def draw_graph(v: int, edges: Sequence[Edge], side: int, style: Style, rng: random.Random) -> Image.Image:
    """The graph as an RGB image of `side` x `side` pixels."""
    radius = node_radius(v, side)
    points = _layout(v, edges, side, radius, style, rng)
    background = style.background(rng)
    scale = 4 if side <= 128 else 2  # Pillow's lines have hard edges: draw them large, average them down
    large = Image.new("RGB", (side * scale, side * scale), background)
    draw = ImageDraw.Draw(large)
    width = round(max(1.5, side / 150) * scale)
    for a, b in edges:
        ends = [(points[end][0] * scale, points[end][1] * scale) for end in (a, b)]
        draw.line(ends, fill=style.ink(rng, background), width=width)
    fill = _node_color(background, style)
    for x, y in points:
        box = tuple(scale * at for at in (x - radius, y - radius, x + radius, y + radius))
        draw.ellipse(box, fill=fill, outline=style.line(fill), width=max(scale, width // 2))
    image = large.reduce(scale)
    for node, point in enumerate(points):
        size = radius * (1.7 if node < 10 else 1.3)
        draw_label(image, str(node), point, radius, size, style.ink(rng, fill), style, rng)
    return add_noise(image, style.noise, max(1, round(radius / GRAINS)), rng)


def _node_color(background: Color, style: Style) -> Color:
    mixed = (round(b * (1 - style.blue * (1 - blue))) for b, blue in zip(background, BLUE, strict=True))
    red, green, blue = mixed
    return red, green, blue


def _layout(
    v: int, edges: Sequence[Edge], side: int, radius: float, style: Style, rng: random.Random
) -> list[Point]:
    """Places of the nodes: on a circle, and from there astray as far as edges keep clear of other nodes."""
    turn = 2 * math.pi / v * rng.random() * min(1.0, style.shuffle)
    angles = [turn + 2 * math.pi * place / v for place in range(v)]
    circle = [(side * (0.5 + CIRCLE * math.sin(a)), side * (0.5 - CIRCLE * math.cos(a))) for a in angles]
    moved = [place for place in range(v) if rng.random() < style.shuffle]
    for place, point in zip(moved, [circle[other] for other in rng.sample(moved, len(moved))], strict=True):
        circle[place] = point
    low, high = 1.1 * radius, side - 1.1 * radius
    for left in range(TRIES, 0, -1):
        reach = style.stray * side * left / TRIES
        strayed = ([at + reach * rng.uniform(-1, 1) for at in point] for point in circle)
        points = [(min(high, max(low, x)), min(high, max(low, y))) for x, y in strayed]
        if _is_clear(points, edges, radius):
            return points
    return circle


def _is_clear(points: Sequence[Point], edges: Sequence[Edge], radius: float) -> bool:
    """Whether nodes keep apart and no edge comes near a node that it does not join."""
    apart = all(math.dist(p, q) > 2.2 * radius for i, p in enumerate(points) for q in points[:i])
    return apart and all(
        _distance(point, points[a], points[b]) > 1.2 * radius
        for a, b in edges
        for node, point in enumerate(points)
        if node not in (a, b)
    )


def _distance(p: Point, a: Point, b: Point) -> float:
    """From `p` to the line segment between `a` and `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    return math.dist(p, (a[0] + along * dx, a[1] + along * dy))
