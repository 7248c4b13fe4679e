"""What models are asked, from readable files beside this one; a prompt's version is the hash of its files.

The captioner is asked what a patent attorney would look at; the language model gets facts, caption and sentence
patterns (Lo et al.). Without a caption a request depends on `Facts.shared()` alone: the drawings of a design make the
same request, which the call cache answers once.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from linework_enricher.facts import Facts

Name = Literal["caption", "describe", "cluster"]
Messages = list[dict[str, str]]  # [{"role", "content"}, …]

_FILES: dict[Name, tuple[str, ...]] = {
    "caption": ("caption",),
    "describe": ("describe", "describe_task", "again"),
    "cluster": ("cluster", "again"),
}
_ANSWER_KEPT = 20_000  # characters of a bad answer that are shown again: enough to mend it, not to blow the context

DESCRIBE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["texts"],
    "properties": {
        "texts": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["text", "language"],
                "properties": {"text": {"type": "string"}, "language": {"type": "string"}},
            },
        }
    },
}
CLUSTER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "summary"],
    "properties": {"title": {"type": "string"}, "summary": {"type": "string"}},
}


@cache
def version(name: Name) -> str:
    """SHA-256 over the files that the prompt is made of; another version makes new calls and new descriptions."""
    digest = hashlib.sha256()
    for file in _FILES[name]:
        digest.update(f"{file}\0{_file(file)}\0".encode())
    return digest.hexdigest()


def caption(facts: Facts) -> Messages:
    """The text part of the captioner's request; the picture is added by the caller."""
    record = {"object": facts.name, "title": facts.title, "view": facts.view, "caption": facts.caption}
    told = {name: value for name, value in record.items() if value}
    return _messages(_file("caption"), _block(told), "Describe the drawing.")


def describe(facts: Facts, caption_text: str | None, count: int, languages: Sequence[str]) -> Messages:
    """The request for `count` texts. With a caption it is about one drawing, without one about its whole design."""
    record = dict(facts.shared())
    if caption_text is not None:
        seen = {"view": facts.view, "caption": facts.caption, "attorney": caption_text}
        record |= {name: value for name, value in seen.items() if value}
    task = _file("describe_task").replace("{count}", str(count)).replace("{languages}", ", ".join(languages))
    return _messages(_file("describe"), _block(record), task)


def describe_again(messages: Messages, answer: str, faults: Sequence[str]) -> Messages:
    """The same request once more, with the bad answer and what was wrong with it."""
    listed = "\n".join(f"- {fault}" for fault in faults)
    task = _file("again").replace("{faults}", listed)
    return [*messages, {"role": "assistant", "content": answer[:_ANSWER_KEPT]}, {"role": "user", "content": task}]


def cluster(keywords: Sequence[str], objects: Sequence[str], query: dict[str, Any]) -> Messages:
    """The request for a cluster's title and summary; up to five pictures are added by the caller."""
    record = {"keywords": list(keywords), "objects": list(objects), "query": query}
    return _messages(_file("cluster"), _block(record), "Name the group.")


def _messages(system: str, *parts: str) -> Messages:
    return [{"role": "system", "content": system}, {"role": "user", "content": "\n\n".join(parts)}]


def _block(record: dict[str, Any]) -> str:
    """JSON between marks that no text of a patent can close: its angle brackets are escaped."""
    told = json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True)
    told = told.replace("<", "\\u003c").replace(">", "\\u003e")
    return f"<record>\n{told}\n</record>"


@cache
def _file(name: str) -> str:
    return files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8").strip()
