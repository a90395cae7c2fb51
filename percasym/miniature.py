"""How large a miniature is: what decides its weights before training, apart from the words it knows."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

PATCH = 8  # px
MERGE = 2  # both architectures turn 2x2 patches into one token of the text model
TILE = MERGE * PATCH  # px; what the side of an image has to be a multiple of
LARGEST_SIDE = 512  # px; larger images are shrunk (Qwen3-VL) or tiled (InternVL)


class MiniatureSize(BaseModel, frozen=True, extra="forbid"):
    """The layers of a miniature; the defaults make about 0.8 million parameters."""

    architecture: Literal["qwen3_vl", "internvl"] = Field(
        default="qwen3_vl", description="Architecture that is made small"
    )
    hidden_size: int = Field(default=128, ge=16, le=4_096, description="Width of the text model")
    layers: int = Field(default=3, ge=1, le=64, description="Layers of the text model")
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads of the text model")
    kv_heads: int = Field(default=2, ge=1, le=64, description="Heads of keys and values")
    mlp_size: int = Field(default=256, ge=16, le=16_384, description="Inner width of the text model's MLP")
    vision_size: int = Field(default=64, ge=16, le=4_096, description="Width of the vision tower")
    vision_layers: int = Field(default=2, ge=1, le=64, description="Layers of the vision tower")
    vision_heads: int = Field(default=4, ge=1, le=64, description="Attention heads of the vision tower")
    vision_mlp_size: int = Field(
        default=128, ge=16, le=16_384, description="Inner width of the vision tower's MLP"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError("hidden_size must be a multiple of 2 * heads")
        if self.heads % self.kv_heads:
            raise ValueError("heads must be a multiple of kv_heads")
        if self.vision_size % (4 * self.vision_heads):
            raise ValueError("vision_size must be a multiple of 4 * vision_heads")
        return self


class TinyConfig(MiniatureSize, frozen=True):
    """A miniature for images of one size."""

    patch: int = Field(default=PATCH, gt=0, description="Side of a patch in px; 2x2 patches make one token")
    side: int = Field(
        default=64, gt=0, le=LARGEST_SIDE, description="Side in px of the images it is made for"
    )
    max_positions: int = Field(default=4096, gt=0, description="Longest sequence, image tokens included")
    seed: int = Field(default=0, description="Seed of the initial weights")

    @model_validator(mode="after")
    def _tiles(self) -> Self:
        if self.side % (MERGE * self.patch):
            raise ValueError("side must be a multiple of 2 * patch")
        return self
