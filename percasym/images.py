"""Images as bytes: written small and fast, and bounded before they are decoded."""

import io
import warnings
import zlib

from PIL import Image

from percasym.errors import PercasymError

MAX_PIXELS = 25_000_000
FORMATS = ("PNG", "JPEG", "WEBP")


def encode_image(image: Image.Image) -> bytes:
    """`image` as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)  # on noise both fast and small
    return buffer.getvalue()


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The RGB image encoded in `data` (PNG, JPEG or WebP), whose size is checked before anything is decoded.

    Raises:
        PercasymError: no such image, a broken one, or one of more than `max_pixels` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height <= max_pixels:
            return image.convert("RGB")
    except Image.DecompressionBombError:
        raise PercasymError(f"an image is larger than {max_pixels:,} pixels: make it smaller") from None
    except Exception as error:  # decoders raise anything on broken input
        raise PercasymError(f"an image is no readable {', '.join(FORMATS)}: {error}") from None
    raise PercasymError(
        f"an image of {image.width} x {image.height} is larger than {max_pixels:,} pixels: make it smaller"
    )
