"""Images as bytes: written small and fast, bounded before they are decoded, seen alike by all readers."""

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps

from percasym.errors import PercasymError

MAX_PIXELS = 25_000_000
FORMATS = ("PNG", "JPEG", "WEBP")
PLAIN_MODES = ("1", "L", "P", "RGB")  # of which everybody makes the same RGB


def encode_image(image: Image.Image) -> bytes:
    """`image` as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)  # on noise both fast and small
    return buffer.getvalue()


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The RGB image encoded in `data` (PNG, JPEG or WebP), whose size is checked before anything is decoded.

    It is what a person sees in a browser on a white page: turned as its EXIF says, its transparency white, of
    an animation the first frame. 16 bits of grey become 8.

    Raises:
        PercasymError: no such image, a broken one, or one of more than `max_pixels` pixels.
    """
    with _opened(data, max_pixels) as image:
        return _as_seen(image)


def plain_image(data: bytes) -> bytes:
    """`data` if all programs that decode it and make it RGB see what `open_image` does, else that as PNG.

    Programs differ in whether they heed EXIF, where transparency goes, and how many bits they take.

    Raises:
        PercasymError: as `open_image`.
    """
    with _opened(data, MAX_PIXELS) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        moving = getattr(image, "is_animated", False)
        if image.mode in PLAIN_MODES and not (turned or moving or image.has_transparency_data):
            return data
        return encode_image(_as_seen(image))


def _as_seen(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode == "I;16":
        values = np.asarray(image).astype(np.uint32)
        grey = (values + 128) // 257
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", ink.size, "white"), ink)
    return image.convert("RGB")


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The image, not decoded yet; whatever goes wrong with it inside is told in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > max_pixels:
            size = f"an image of {image.width} x {image.height}"
            raise PercasymError(f"{size} is larger than {max_pixels:,} pixels: make it smaller")
        yield image
    except PercasymError:
        raise
    except Image.DecompressionBombError:
        raise PercasymError(f"an image is larger than {max_pixels:,} pixels: make it smaller") from None
    except Exception as error:  # decoders raise anything on broken input
        raise PercasymError(f"an image is no readable {', '.join(FORMATS)}: {error}") from None
