"""The picture of a Sudoku: thin lines between cells, thick ones between boxes."""

import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

from percasym.puzzles.drawing import add_noise, draw_label
from percasym.puzzles.styles import Style

GLYPH = 0.7  # size of a digit, of its cell


def draw_sudoku(
    grid: Sequence[Sequence[int]], rows: int, cols: int, side: int, style: Style, rng: random.Random
) -> Image.Image:
    """`grid` with boxes of `rows` x `cols` cells as an RGB image of `side` x `side` pixels; 0 is a blank cell."""
    size = rows * cols
    cell = side / size
    background = style.background(rng)
    image = Image.new("RGB", (side, side), background)
    _draw_lines(image, size, rows, cols, style.line(background))
    for row, digits in enumerate(grid):
        for column, digit in enumerate(digits):
            if digit:
                center = ((column + 0.5) * cell, (row + 0.5) * cell)
                ink = style.ink(rng, background)
                draw_label(image, str(digit), center, cell, GLYPH * cell, ink, style, rng)
    return add_noise(image, style.noise, rng)


def _draw_lines(image: Image.Image, size: int, rows: int, cols: int, color: tuple[int, int, int]) -> None:
    draw = ImageDraw.Draw(image)
    side = image.width
    thin = max(1, round(side / size / 40))
    for k in range(size + 1):
        for per_box, vertical in ((cols, True), (rows, False)):
            width = thin * (2 + (thin > 1)) if k % per_box == 0 else thin  # boxes: twice, from 61-pixel cells on thrice
            start = min(max(0, round(k * side / size - width / 2)), side - width)
            end = start + width - 1
            draw.rectangle((start, 0, end, side) if vertical else (0, start, side, end), fill=color)
