"""An image from outside is bounded before it is decoded, and seen by us as by who reads our exports."""

import io
import struct
import zlib
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from percasym.errors import PercasymError
from percasym.images import encode_image, open_image, plain_image

ORIENTATIONS = {  # by EXIF's number: what makes of the stored pixels those that are meant
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: np.rot90(np.swapaxes(pixels, 0, 1), 2),
    8: np.rot90,
}


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def seen_by_datasets(data: bytes) -> np.ndarray:
    """What a processor gets from `datasets`: it makes RGB of any mode."""
    return np.asarray(datasets.Image().decode_example({"bytes": data, "path": None}).convert("RGB"))


def grey16(values: np.ndarray, transparent: int | None = None) -> bytes:
    """A PNG of 16 bits of grey, of which one can be transparent."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    height, width = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)),
            b"" if transparent is None else chunk(b"tRNS", struct.pack(">H", transparent)),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


@st.composite
def pictures(draw: st.DrawFn) -> tuple[bytes, np.ndarray, bool]:
    """An encoded image, the pixels that are to be seen, and whether it is as plain as can be."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    kind, orientation = draw(st.sampled_from(["PNG", "WEBP"])), draw(st.sampled_from([1, *ORIENTATIONS]))
    mode = draw(st.sampled_from(["1", "L", "LA", "P", "P with alpha", "RGB", "RGBA", "RGB with a colour"]))
    alpha = rng.choice([0, 1, 128, 254, 255], shape).astype(np.uint8)
    colours = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if mode in ("1", "L", "LA"):
        colours = np.repeat(
            colours[:, :, :1] // (255 if mode == "1" else 1) * (255 if mode == "1" else 1), 3, axis=2
        )
    if mode.startswith("P"):
        kind, options = "PNG", {}
        palette = rng.integers(0, 256, (16, 3), dtype=np.uint8)
        index = rng.integers(0, 16, shape, dtype=np.uint8)
        colours = palette[index]
        image = Image.fromarray(index, "P")
        image.putpalette(palette.tobytes())
        if mode != "P":
            opacity = rng.integers(0, 256, 16, dtype=np.uint8)
            options, alpha = {"transparency": opacity.tobytes()}, opacity[index]
    elif mode == "RGB with a colour":
        kind, options = "PNG", {"transparency": tuple(int(value) for value in colours[0, 0])}
        alpha = np.where((colours == colours[0, 0]).all(axis=2), 0, 255).astype(np.uint8)
        image = Image.fromarray(colours)
    elif mode in ("LA", "RGBA"):
        image = Image.fromarray(np.dstack([colours, alpha])).convert(mode)
    else:
        image = Image.fromarray(colours).convert(mode)
    if mode in ("1", "L", "RGB", "P"):
        alpha = np.full(shape, 255, np.uint8)
    if orientation > 1:
        options["exif"] = turned(orientation)
    share = alpha[:, :, None] / 255
    pixels = ORIENTATIONS[orientation](colours * share + 255 * (1 - share))
    return encoded(image, kind, **options), pixels, orientation == 1 and alpha.min() == 255


@given(pictures())
def test_a_picture_is_seen_as_it_is_meant(found: tuple[bytes, np.ndarray, bool]) -> None:
    data, pixels, _ = found
    image = open_image(data)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image, float) - pixels).max() <= 1  # rounding of what shines through


@given(pictures())
def test_a_plain_picture_is_seen_alike_by_all_and_stays_as_it_is_if_it_was_so(
    found: tuple[bytes, np.ndarray, bool],
) -> None:
    data, _, is_plain = found
    plain = plain_image(data)
    assert np.array_equal(seen_by_datasets(plain), np.asarray(open_image(data)))
    assert np.array_equal(open_image(plain), open_image(data))
    assert plain_image(plain) == plain
    if is_plain and plain != data:
        assert Image.open(io.BytesIO(data)).mode not in ("1", "L", "P", "RGB")


@given(st.sampled_from(sorted(ORIENTATIONS)), st.sampled_from(["L", "RGB", "CMYK"]))
def test_a_photograph_is_turned_as_its_exif_says(orientation: int, mode: str) -> None:
    stored = Image.new("L", (48, 32), 230)
    stored.paste(20, (0, 0, 16, 16))
    data = encoded(stored.convert(mode), "JPEG", exif=turned(orientation), quality=95)
    image = open_image(data)
    expected = ORIENTATIONS[orientation](np.asarray(stored))
    assert np.abs(np.asarray(image.convert("L"), float) - expected).mean() < 4
    assert np.array_equal(seen_by_datasets(plain_image(data)), np.asarray(image))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=40), st.booleans())
def test_sixteen_bits_of_grey_become_eight(values: list[int], see_through: bool) -> None:
    data = grey16(np.array([values]), values[0] if see_through else None)
    expected = [255 if see_through and value == values[0] else round(value / 257) for value in values]
    assert np.asarray(open_image(data))[0].tolist() == [[grey] * 3 for grey in expected]
    assert np.array_equal(seen_by_datasets(plain_image(data)), np.asarray(open_image(data)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_seen(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert open_image(data).getpixel((3, 3))[0] > 200
    assert Image.open(io.BytesIO(plain_image(data))).n_frames == 1


@pytest.mark.parametrize(
    ("side", "message"),
    [(10_000, "10000 x 10000 is larger than 25,000,000 pixels"), (20_000, "larger than 25,000,000 pixels")],
)
def test_a_large_one_is_not_decoded(side: int, message: str) -> None:
    with pytest.raises(PercasymError, match=message):
        open_image(encoded(Image.new("1", (side, side))))


def test_only_the_formats_named_are_read() -> None:
    png = encode_image(Image.new("RGB", (64, 64), "red"))
    for bad in (encoded(Image.new("L", (8, 8)), "GIF"), b"", b"no image", png[:60]):
        with pytest.raises(PercasymError, match="no readable PNG, JPEG, WEBP"):
            open_image(bad)
    assert open_image(png).getpixel((3, 3)) == (255, 0, 0)
