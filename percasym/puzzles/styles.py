"""How an image looks: named presets, and how far to go from the clean one towards each.

Every number of a style is an angle or a share: of the full intensity, of a cell's side, of a glyph's height.
So a style looks the same at 64 and at 369 pixels, and "hard:0.5" is half way from clean to hard in each.
"""

import random
from dataclasses import astuple, dataclass
from functools import lru_cache

from percasym.errors import PercasymError

Color = tuple[int, int, int]
STRONGEST = 1.5


@dataclass(frozen=True)
class Style:
    """What is drawn at random, and how much.

    Attributes:
        noise: standard deviation of the noise on every channel of every pixel, of full intensity.
        fonts: how many fonts are drawn from, less one.
        rotation: most degrees by which a glyph is turned.
        fade: the most that ink comes near its background; 1 would hide it.
        jitter: most displacement of a glyph, of its cell's side.
        resize: most change of a glyph's size, of that size.
        tint: the most that a channel of the background goes below white.
        hue: the most that a channel of the ink goes above black.
        lines: darkness of the lines of a grid.
        blue: how blue the nodes of a graph are.
        stray: most displacement of a graph's node from its place on a circle, of the image's side.
        shuffle: share of a graph's nodes that change places; without, they stand in order.
    """

    noise: float = 0.0
    fonts: float = 0.0
    rotation: float = 0.0
    fade: float = 0.0
    jitter: float = 0.0
    resize: float = 0.0
    tint: float = 0.0
    hue: float = 0.0
    lines: float = 0.4
    blue: float = 0.0
    stray: float = 0.0
    shuffle: float = 0.0

    def background(self, rng: random.Random) -> Color:
        """A colour near white."""
        return _color([1 - self.tint * rng.random() for _ in range(3)])

    def ink(self, rng: random.Random, background: Color) -> Color:
        """A dark colour, faded towards `background`."""
        fade = min(self.fade, 1.0) * rng.random()
        dark = [self.hue * rng.random() for _ in range(3)]
        return _color([fade * b / 255 + (1 - fade) * d for b, d in zip(background, dark, strict=True)])

    def line(self, background: Color) -> Color:
        """The colour of grid lines."""
        return _color([channel / 255 * (1 - min(self.lines, 1.0)) for channel in background])


def _color(channels: list[float]) -> Color:
    red, green, blue = (round(255 * min(1.0, max(0.0, channel))) for channel in channels)
    return red, green, blue


CLEAN = Style()
STYLES: dict[str, Style] = {
    "clean": CLEAN,
    "paper": Style(lines=1.0, blue=1.0, stray=0.1, shuffle=1.0),  # as released: black on white, blue nodes
    "varied": Style(
        noise=0.06, fonts=5, rotation=8, fade=0.2, jitter=0.08, resize=0.1, tint=0.2, hue=0.45,
        lines=0.5, blue=0.4, stray=0.15, shuffle=1.0,
    ),
    "hard": Style(
        noise=0.30, fonts=5, rotation=15, fade=0.3, jitter=0.19, resize=0.18, tint=0.2, hue=0.4,
        lines=0.3, blue=0.3, stray=0.25, shuffle=1.0,
    ),
}  # fmt: skip


@lru_cache
def parse_style(text: str) -> Style:
    """The style called NAME or NAME:STRENGTH: 0 is clean, 1 is the preset, and up to 1.5 goes beyond it.

    Raises:
        PercasymError: an unknown name or a strength out of range.
    """
    name, colon, number = text.partition(":")
    if name not in STYLES:
        known = ", ".join(STYLES)
        raise PercasymError(f"no style {name!r}: use one of {known}, or NAME:STRENGTH as in hard:0.5")
    try:
        strength = float(number) if colon else 1.0
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= STRONGEST:
        raise PercasymError(f"style {text!r}: the strength is a number from 0 to {STRONGEST}")
    pairs = zip(astuple(CLEAN), astuple(STYLES[name]), strict=True)
    return Style(*(clean + strength * (full - clean) for clean, full in pairs))
