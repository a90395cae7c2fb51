"""Texts that stand for the place of a picture: in a query or a response somebody takes them for one."""

_QWEN_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_pad|>", "<|vision_start|>", "<|vision_end|>")
_INTERNVL_TOKENS = ("<IMG_CONTEXT>", "<img>", "</img>", "<video>")
_INTERNAL = ("<|placeholder|>", "<placeholder>")  # the processors write them for a while
OF_MODELS = (*_QWEN_TOKENS, *_INTERNVL_TOKENS, *_INTERNAL)
"""By which Qwen-VL's and InternVL's processors put an image into a prompt: where there are more of them than
images, a model fails or looks at the wrong one."""

OF_PROGRAMS = ("<image>", "<video>", "<audio>")
"""By which LLaMA-Factory and verl do."""


def placeholder(places: tuple[str, ...], *texts: str) -> str | None:
    """The first of `places` that is in one of the texts; None if none is."""
    return next((place for place in places if any(place in text for text in texts)), None)
