"""What identifies an encoder: the words that vision writes, Postgres keeps and every hit names."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class EncoderManifest(BaseModel):
    """One immutable encoder (design, rule 6).

    `content_hash` is a SHA-256 over weights, preprocessing, derivative recipe and precision; `id` is a readable
    name with its first 12 hex digits. `spec` is how the encoder is loaded again ('hog', 'timm:resnet18', …).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    spec: str
    content_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    dimension: int = Field(gt=0, le=3900)  # a row with its vector must fit a page of 8 kB
    has_text: bool
    detail: dict[str, Any] = Field(default_factory=dict)
