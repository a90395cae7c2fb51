import math
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from percasym.errors import PercasymError
from percasym.puzzles import load_puzzle
from percasym.puzzles.drawing import FONTS, add_noise
from percasym.puzzles.graph_image import draw_graph, node_radius, smallest_side
from percasym.puzzles.styles import CLEAN, STYLES, Style, parse_style
from percasym.puzzles.sudoku_image import draw_sudoku

SUDOKU = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
GRAPH = load_puzzle("graph_coloring", {"vertices_low": 6, "vertices_high": 7, "side": 64})
STRENGTHS = ["clean", "paper", "varied", "hard", "hard:0.25", "hard:1.5", "varied:0"]


def gray(image):
    return np.asarray(image.convert("L"), dtype=float)


@pytest.mark.parametrize("puzzle", [SUDOKU, GRAPH], ids=["sudoku", "graph"])
@pytest.mark.parametrize("style", STRENGTHS)
def test_images_are_rgb_of_the_side_asked_for_and_drawn_by_their_stream_alone(puzzle, style):
    instance = puzzle.item("test", 0, 0).instance
    images = [puzzle.render(instance, random.Random(seed), style) for seed in (1, 1, 2)]
    assert all(image.mode == "RGB" and image.size == (64, 64) for image in images)
    assert images[0].tobytes() == images[1].tobytes()
    nothing_is_random = style in ("clean", "varied:0") or (puzzle is SUDOKU and style == "paper")
    assert (images[0].tobytes() == images[2].tobytes()) == nothing_is_random


def test_the_style_of_the_config_is_the_default():
    hard = load_puzzle("sudoku", {**SUDOKU.config.model_dump(), "style": "hard"})
    sudoku = SUDOKU.item("test", 0, 0).instance
    default = hard.render(sudoku, random.Random(0))
    assert default.tobytes() == SUDOKU.render(sudoku, random.Random(0), "hard").tobytes()
    assert default.tobytes() != SUDOKU.render(sudoku, random.Random(0)).tobytes()


@pytest.mark.parametrize("side", [64, 100, 369])
def test_every_digit_stands_in_its_own_cell(side):
    digits = [[1, 2, 3, 4], [0, 0, 0, 0], [4, 3, 2, 1], [0, 0, 0, 0]]
    empty = gray(draw_sudoku([[0] * 4] * 4, 2, 2, side, CLEAN, random.Random(0)))
    ink = np.abs(gray(draw_sudoku(digits, 2, 2, side, CLEAN, random.Random(0))) - empty)
    for row in range(4):
        for column in range(4):
            cell = ink[row * side // 4 : (row + 1) * side // 4, column * side // 4 : (column + 1) * side // 4]
            assert (cell.max() > 100) == bool(digits[row][column])
            if cell.max():
                weight = cell / cell.sum()
                center = [(weight.sum(axis=1 - axis) * np.arange(cell.shape[axis])).sum() for axis in (0, 1)]
                assert center == pytest.approx([side / 8] * 2, abs=side / 40)


@pytest.mark.parametrize(
    ("box", "side", "widths"), [(3, 369, [3, 1, 1, 3, 1, 1, 3, 1, 1, 3]), (2, 64, [2, 1, 2, 1, 2])]
)
def test_box_lines_are_thicker_than_cell_lines(box, side, widths):
    empty = [[0] * box**2] * box**2
    image = gray(draw_sudoku(empty, box, box, side, parse_style("paper"), random.Random(0)))
    for pixels in (image[side // 18], image[:, side // 18]):
        edges = np.diff(np.concatenate([[0], pixels < 100, [0]]))
        assert list(np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)) == widths


def test_an_edge_more_is_a_line_more():
    for seed in range(10):
        one = gray(draw_graph(6, [(0, 1)], 64, CLEAN, random.Random(seed)))
        two = gray(draw_graph(6, [(0, 1), (2, 5)], 64, CLEAN, random.Random(seed)))
        assert (two <= one).all()
        assert (two < one - 100).sum() > 10


@pytest.mark.parametrize(("shuffle", "low", "high"), [(0.0, 1.0, 1.0), (0.5, 0.3, 0.7), (1.0, 0.0, 0.05)])
def test_nodes_change_places_as_far_as_the_style_says(shuffle, low, high, monkeypatch):
    drawn, in_order = [], []
    monkeypatch.setattr(
        "percasym.puzzles.graph_image.draw_label", lambda _, text, at, *rest: drawn.append(at)
    )
    for seed in range(200):
        draw_graph(6, [(0, 1)], 64, replace(CLEAN, shuffle=shuffle), random.Random(seed))
        angles = [math.atan2(x - 32, 32 - y) for x, y in drawn]
        steps = [(b - a) % math.tau for a, b in pairwise(angles)]
        in_order.append(all(math.isclose(step, math.tau / 6) for step in steps))
        drawn.clear()
    assert low <= sum(in_order) / 200 <= high


@pytest.mark.parametrize("style", ["clean", "paper", "varied", "hard:1.5"])
@pytest.mark.parametrize("v", [2, 3, 7, 8, 12, 26])
def test_edges_keep_clear_of_other_nodes(v, style, monkeypatch):
    """As drawn: what would be drawn of a single edge never touches the disc of a third node."""
    drawn = []
    monkeypatch.setattr(
        "percasym.puzzles.graph_image.draw_label", lambda _, text, at, *rest: drawn.append(at)
    )
    side = max(64, smallest_side(v))
    radius = node_radius(v, side)
    rng = random.Random(v)
    edges = [(a, b) for a in range(v) for b in range(a + 1, v) if rng.random() < 4 / v] or [(0, 1)]
    for seed in range(2):
        drawn.clear()
        draw_graph(v, edges, side, parse_style(style), random.Random(seed))
        points = np.array(drawn)
        assert points.shape == (v, 2)
        assert (points >= radius).all()
        assert (points <= side - radius).all()
        for a, b in edges:
            along = np.linspace(points[a], points[b], 80)
            for node in set(range(v)) - {a, b}:
                assert np.hypot(*(along - points[node]).T).min() > 1.1 * radius


def test_nodes_are_large_enough_to_be_read():
    assert smallest_side(7) <= 64
    assert smallest_side(14) <= 450
    assert all(smallest_side(v) <= smallest_side(v + 1) for v in range(3, 26))


def test_noise_is_as_strong_and_coarse_as_asked_for():
    plain = Image.new("RGB", (90, 90), (128, 128, 128))
    assert add_noise(plain, 0.0, 1, random.Random(0)) is plain
    fine = np.asarray(add_noise(plain, 0.1, 1, random.Random(0)), dtype=float)
    coarse = np.asarray(add_noise(plain, 0.1, 4, random.Random(0)), dtype=float)
    for noisy in (fine, coarse):
        assert noisy.shape == (90, 90, 3)
        assert noisy.mean() == pytest.approx(128, abs=2)
        assert noisy.std() == pytest.approx(25.5, abs=1.5)
    assert (coarse[:4, :4] == coarse[0, 0]).all()
    assert not (fine[:4, :4] == fine[0, 0]).all()


def test_a_strength_is_the_way_from_clean():
    assert parse_style("hard:0") == parse_style("varied:0") == CLEAN
    assert parse_style("hard:1") == parse_style("hard") == STYLES["hard"]
    half, full = parse_style("hard:0.5"), parse_style("hard")
    assert half.noise == pytest.approx(full.noise / 2)
    assert half.lines == pytest.approx((CLEAN.lines + full.lines) / 2)
    assert parse_style("hard:1.5").noise == pytest.approx(1.5 * full.noise)


@pytest.mark.parametrize("text", ["", "Hard", "hard:-0.1", "hard:1.6", "hard:nan", "hard:x", "hard:", ":1"])
def test_no_other_style_exists(text):
    with pytest.raises(PercasymError, match="style"):
        parse_style(text)


def test_every_font_is_used():
    look = Style(fonts=len(FONTS) - 1)
    images = {
        draw_sudoku([[8] * 4] * 4, 2, 2, 32, look, random.Random(seed)).crop((0, 0, 8, 8)).tobytes()
        for seed in range(60)
    }
    assert len(images) == len(FONTS)
