"""A question to a model and its answer, in our own terms, and how they are written for OpenAI-compatible servers."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError

Message = Mapping[str, str]  # {"role", "content"}

IMAGE_TOKENS = 1100  # about what a derivative costs with the large providers; only limits are reckoned with it


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`images` are PNGs and belong to the last message; `schema` is the JSON schema that the answer is to obey."""

    messages: Sequence[Message]
    images: Sequence[bytes] = ()
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None

    def key(self, provider_url: str, model: str) -> str:
        """SHA-256 of all that the answer depends on. How a server has to be spoken to is no part of it."""
        whole = asdict(replace(self, images=()))
        whole["images"] = [hashlib.sha256(image).hexdigest() for image in self.images]
        whole["provider"], whole["model"] = provider_url, model
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def tokens(self) -> int:
        """About how many tokens the call takes at most, answer included: three characters a token is generous."""
        characters = sum(len(message["content"]) for message in self.messages) + len(json.dumps(self.schema or ""))
        return characters // 3 + IMAGE_TOKENS * len(self.images) + self.max_tokens


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a model said, not to be trusted; tokens are estimated where the server does not count them."""

    text: str
    tokens_in: int
    tokens_out: int
    latency_ms: int
    model: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server takes. Every server is spoken to in full first, and in simpler terms when it objects (400)."""

    answers: Literal["json_schema", "json_object", "text"] = "json_schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    seed: bool = True

    def simpler(self, complaint: str, request: ChatRequest) -> Self | None:
        """The dialect to try after the server's complaint, or None where nothing is left to leave out."""
        if "max_completion_tokens" in complaint and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if "temperature" in complaint and self.temperature:
            return replace(self, temperature=False)
        if "seed" in complaint and self.seed and request.seed is not None:
            return replace(self, seed=False)
        if request.schema is None or self.answers == "text":
            return None
        return replace(self, answers="json_object" if self.answers == "json_schema" else "text")

    def body(self, request: ChatRequest, model: str) -> bytes:
        """The body of POST /chat/completions."""
        body: dict[str, Any] = {"model": model, "messages": self._messages(request), self.limit: request.max_tokens}
        if self.temperature:
            body["temperature"] = request.temperature
        if self.seed and request.seed is not None:
            body["seed"] = request.seed
        if request.schema is not None and self.answers == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": request.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and self.answers == "json_object":
            body["response_format"] = {"type": "json_object"}
        return json.dumps(body).encode()  # ASCII: whatever a patent's text holds can be sent

    def _messages(self, request: ChatRequest) -> list[dict[str, Any]]:
        *earlier, last = [dict(message) for message in request.messages]
        if request.schema is not None and self.answers != "json_schema":
            last["content"] += f"\n\nAnswer with one JSON object by this schema, and nothing else:\n{_dumped(request)}"
        if not request.images:
            return [*earlier, last]
        parts = [{"type": "text", "text": last["content"]}, *(_part(image) for image in request.images)]
        return [*earlier, {**last, "content": parts}]


def _part(image: bytes) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(image).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def _dumped(request: ChatRequest) -> str:
    return json.dumps(request.schema, ensure_ascii=False)


class Part(BaseModel):
    text: str = ""


class Answer(BaseModel):
    content: str | list[Part] | None = None
    refusal: str | None = None


class Choice(BaseModel):
    message: Answer
    finish_reason: str | None = None


class Usage(BaseModel):
    prompt_tokens: int = Field(ge=0, lt=2**31)
    completion_tokens: int = Field(0, ge=0, lt=2**31)


class Completion(BaseModel):
    """What servers answer, as far as it is looked at."""

    choices: list[Choice] = Field(min_length=1)
    model: str | None = None
    usage: Usage | None = None

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The completion in a reply's body. Raises ValueError for any other bytes."""
        try:
            return cls.model_validate_json(data)
        except ValidationError:  # lone surrogates are legal JSON, and pydantic's strings cannot hold them
            try:
                whole = json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8", "replace")
            except RecursionError as error:
                raise ValueError("nested too deep") from error
            return cls.model_validate_json(whole)

    @property
    def text(self) -> str:
        """The first choice's text, without the NULs that no database stores."""
        content = self.choices[0].message.content or ""
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return text.replace("\0", "\ufffd")

    @property
    def refused(self) -> bool:
        choice = self.choices[0]
        return bool(choice.message.refusal) or choice.finish_reason == "content_filter"
