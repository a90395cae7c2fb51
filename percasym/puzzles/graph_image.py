"""The picture of a graph: labelled nodes on or near a circle, or anywhere, and straight edges that miss other nodes."""

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

from percasym.puzzles.drawing import add_noise, draw_label
from percasym.puzzles.styles import Color, Style

CIRCLE = 0.38  # radius of the circle of nodes, of the image's side
TRIES = 60  # random layouts, before the plain circle
BLUE = (0.44, 0.69, 0.89)

Point = tuple[float, float]
Edge = tuple[int, int]


def node_radius(v: int, side: int) -> float:
    """Radius in pixels of the nodes of a graph of `v` nodes: they fill a third of the circle, or less."""
    gap = 2 * CIRCLE * side * math.sin(math.pi / max(v, 3))
    return min(0.095 * side, 0.34 * gap)


def draw_graph(v: int, edges: Sequence[Edge], side: int, style: Style, rng: random.Random) -> Image.Image:
    """The graph as an RGB image of `side` x `side` pixels; which node lies where is drawn at random."""
    radius = node_radius(v, side)
    points = _layout(v, edges, side, radius, style, rng)
    background = style.background(rng)
    scale = 4 if side <= 128 else 2  # drawn larger and averaged down: Pillow's lines have hard edges
    large = Image.new("RGB", (side * scale, side * scale), background)
    draw = ImageDraw.Draw(large)
    width = round(max(1.5, side / 150) * scale)
    for a, b in edges:
        draw.line([_times(points[a], scale), _times(points[b], scale)], fill=style.ink(rng, background), width=width)
    fill = _node_color(background, style)
    outline = style.ink(rng, background)
    for x, y in (_times(point, scale) for point in points):
        r = radius * scale
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=outline, width=max(1, width * 2 // 3))
    image = large.reduce(scale)
    for node, point in enumerate(points):
        size = radius * (1.65 if node < 10 else 1.25)
        draw_label(image, str(node), point, radius, size, style.ink(rng, fill), style, rng)
    return add_noise(image, style.noise, rng)


def _node_color(background: Color, style: Style) -> Color:
    red, green, blue = (
        round(b * (1 - style.blue * (1 - channel))) for b, channel in zip(background, BLUE, strict=True)
    )
    return red, green, blue


def _times(point: Point, scale: int) -> Point:
    return point[0] * scale, point[1] * scale


def _layout(
    v: int, edges: Sequence[Edge], side: int, radius: float, style: Style, rng: random.Random
) -> list[Point]:
    """Places of the nodes: near a circle or scattered, and such that no edge comes near a node it does not join."""
    scattered = rng.random() < style.scatter
    turn = rng.random() if style.stray else 0.0
    circle = [
        (
            side / 2 + CIRCLE * side * math.sin(2 * math.pi * (place + turn) / v),
            side / 2 - CIRCLE * side * math.cos(2 * math.pi * (place + turn) / v),
        )
        for place in range(v)
    ]
    rng.shuffle(circle)
    low, high = radius + 1, side - radius - 1
    for _ in range(TRIES):
        if scattered:
            points = [(rng.uniform(low, high), rng.uniform(low, high)) for _ in range(v)]
        elif style.stray:
            points = [
                (
                    min(high, max(low, x + rng.uniform(-1, 1) * style.stray * side)),
                    min(high, max(low, y + rng.uniform(-1, 1) * style.stray * side)),
                )
                for x, y in circle
            ]
        else:
            break
        if _is_clear(points, edges, radius):
            return points
    return circle


def _is_clear(points: Sequence[Point], edges: Sequence[Edge], radius: float) -> bool:
    for i, p in enumerate(points):
        if any(math.dist(p, q) < 2.6 * radius for q in points[:i]):
            return False
    return not any(
        _distance(points[node], points[a], points[b]) < 1.5 * radius
        for a, b in edges
        for node in range(len(points))
        if node not in (a, b)
    )


def _distance(p: Point, a: Point, b: Point) -> float:
    """From p to the line segment between a and b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    return math.dist(p, (a[0] + along * dx, a[1] + along * dy))
