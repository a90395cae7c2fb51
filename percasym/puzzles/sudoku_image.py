"""The picture of a Sudoku: thin lines between cells, thick ones between boxes."""

import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

from percasym.puzzles.drawing import add_noise, draw_label
from percasym.puzzles.styles import Color, Style

GLYPH = 0.7  # size of a digit's font, of its cell
GRAINS = 16  # of noise along a cell


def draw_sudoku(
    grid: Sequence[Sequence[int]], rows: int, cols: int, side: int, style: Style, rng: random.Random
) -> Image.Image:
    """`grid` with boxes of `rows` x `cols` cells as an RGB image of `side` x `side` pixels; 0 is a blank."""
    size = rows * cols
    cell = side / size
    background = style.background(rng)
    image = Image.new("RGB", (side, side), background)
    _draw_lines(image, rows, cols, style.line(background))
    for row, digits in enumerate(grid):
        for column, digit in enumerate(digits):
            if digit:
                center = ((column + 0.5) * cell, (row + 0.5) * cell)
                ink = style.ink(rng, background)
                draw_label(image, str(digit), center, cell, GLYPH * cell, ink, style, rng)
    return add_noise(image, style.noise, max(1, round(cell / GRAINS)), rng)


def _draw_lines(image: Image.Image, rows: int, cols: int, color: Color) -> None:
    draw = ImageDraw.Draw(image)
    side, size = image.width, rows * cols
    thin = max(1, round(side / size / 40))
    thick = max(2, round(side / size / 14))
    for line in range(size + 1):
        for per_box, upright in ((cols, True), (rows, False)):
            width = thick if line % per_box == 0 else thin
            start = min(max(0, round(line * side / size - width / 2)), side - width)
            end = start + width - 1
            draw.rectangle((start, 0, end, side) if upright else (0, start, side, end), fill=color)
