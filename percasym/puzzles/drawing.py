"""Glyphs and noise, fast and the same bytes on every machine.

The fonts are those that matplotlib ships, laid out by Pillow itself, so nothing depends on what is installed.
"""

import random
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from percasym.puzzles.styles import Color, Style
from percasym.seeding import numpy_stream

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSansMono-Oblique.ttf",
)


def draw_label(
    image: Image.Image, text: str, center: tuple[float, float], cell: float, size: float, ink: Color,
    style: Style, rng: random.Random,
) -> None:  # fmt: skip
    """Draw `text` on `image` around `center`, `size` pixels high as fonts count, moved, turned and resized by `style`.

    `cell` is the side of the square, in pixels, that bounds how far it may move.
    """
    font = min(int(rng.random() * (round(style.fonts) + 1)), len(FONTS) - 1)
    angle = round(rng.uniform(-style.rotation, style.rotation))
    size *= 1 + rng.uniform(-style.resize, style.resize)
    mask = _glyph(text, font, max(5, round(size)), angle)
    x, y = (at + rng.uniform(-style.jitter, style.jitter) * cell for at in center)
    image.paste(ink, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)


def add_noise(image: Image.Image, sigma: float, rng: random.Random) -> Image.Image:
    """`image` with normal noise of standard deviation `sigma`, of full intensity, on every channel of every pixel."""
    if sigma == 0:
        return image
    pixels = np.asarray(image, dtype=np.float32)
    noise = numpy_stream(rng).standard_normal(pixels.shape, dtype=np.float32)
    noisy = np.clip(pixels + 255 * sigma * noise, 0, 255)
    return Image.fromarray(np.rint(noisy).astype(np.uint8))


@lru_cache(maxsize=16384)
def _glyph(text: str, font: int, size: int, angle: int) -> Image.Image:
    """A mask with `text` in its middle, turned by `angle` degrees."""
    face = _font(font, size)
    left, top, right, bottom = face.getbbox(text)
    side = round(max(right - left, bottom - top) * 1.5) + 2
    mask = Image.new("L", (side, side), 0)
    corner = ((side - left - right) / 2, (side - top - bottom) / 2)
    ImageDraw.Draw(mask).text(corner, text, fill=255, font=face)
    return mask.rotate(angle, resample=Image.Resampling.BILINEAR) if angle else mask


@lru_cache(maxsize=1024)
def _font(index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_folder() / FONTS[index], size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache
def _font_folder() -> Path:
    """The fonts in matplotlib's package, which is found but not imported: that would take a second."""
    package = find_spec("matplotlib")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
