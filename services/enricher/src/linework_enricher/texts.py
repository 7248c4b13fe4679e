"""A text about a drawing, as it is written, checked and stored."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence; `language` is an ISO 639-1 code ('en')."""

    text: str
    language: str

    def as_json(self) -> dict[str, str]:
        return {"text": self.text, "language": self.language}
