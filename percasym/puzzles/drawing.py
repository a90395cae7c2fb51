"""Labels and noise, the same bytes on every machine.

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
    image: Image.Image,
    text: str,
    center: tuple[float, float],
    cell: float,
    size: float,
    ink: Color,
    style: Style,
    rng: random.Random,
) -> None:
    """Draw `text` on `image` around `center` in a font of `size` pixels, turned, resized, moved by `style`.

    How far it may move is a share of `cell`, in pixels.
    """
    font = min(rng.randint(0, round(style.fonts)), len(FONTS) - 1)
    angle = round(rng.uniform(-style.rotation, style.rotation))
    size *= 1 + rng.uniform(-style.resize, style.resize)
    mask = _glyph(text, font, max(5, round(size)), angle)
    x, y = (at + rng.uniform(-style.jitter, style.jitter) * cell for at in center)
    image.paste(ink, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)


def add_noise(image: Image.Image, sigma: float, grain: int, rng: random.Random) -> Image.Image:
    """`image` with normal noise on every channel of every square of `grain` x `grain` pixels.

    Its standard deviation is `sigma`, of full intensity; what goes beyond black or white is cut off.
    """
    if sigma == 0:
        return image
    pixels = np.asarray(image, dtype=np.float32)
    squares = -(-pixels.shape[0] // grain), -(-pixels.shape[1] // grain), 3
    noise = numpy_stream(rng).standard_normal(squares, dtype=np.float32)
    if grain > 1:
        noise = noise.repeat(grain, axis=0).repeat(grain, axis=1)[: pixels.shape[0], : pixels.shape[1]]
    noisy = np.clip(pixels + np.float32(255 * sigma) * noise, 0, 255)
    return Image.fromarray(np.rint(noisy).astype(np.uint8))


@lru_cache(maxsize=16384)
def _glyph(text: str, font: int, size: int, angle: int) -> Image.Image:
    """A mask with `text` in its middle, turned by `angle` degrees."""
    face = _font(font, size)
    left, top, right, bottom = face.getbbox(text)
    side = round(max(right - left, bottom - top) * 1.5) + 2  # room for any turn
    mask = Image.new("L", (side, side), 0)
    corner = ((side - left - right) / 2, (side - top - bottom) / 2)
    ImageDraw.Draw(mask).text(corner, text, fill=255, font=face)
    return mask.rotate(angle, resample=Image.Resampling.BILINEAR) if angle else mask


@lru_cache(maxsize=1024)
def _font(index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_folder() / FONTS[index], size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache
def _font_folder() -> Path:
    """Where matplotlib keeps its fonts; it is found but not imported, which would take a second."""
    package = find_spec("matplotlib")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
