"""An image from outside is bounded before it is decoded."""

import io

import pytest
from PIL import Image

from percasym.errors import PercasymError
from percasym.images import encode_image, open_image


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


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
