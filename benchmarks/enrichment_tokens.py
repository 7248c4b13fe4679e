"""How long the prompts of an enrichment are, for the arithmetic of its cost: counted, not estimated.

    DATABASE_URL=… python -m benchmarks.enrichment_tokens

Over all drawings of a database (packages that were loaded before): the messages that would be sent, and the template's
texts as JSON in place of an answer that nobody has written, 16 for a design and 20 for a drawing. Counted by
o200k_base (`pip install tiktoken`), the vocabulary of several OpenAI models; other models' differ by some percent.
Pictures are not counted: each provider has its own rule. 100 words of English stand for a caption.
"""

import json
from collections.abc import Iterable

import numpy as np
import tiktoken
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_core.db import get_engine
from linework_core.tables import Drawing
from linework_enricher import facts, template
from linework_enricher.chat import ChatRequest
from linework_enricher.pipeline import caption_request, describe_request
from linework_enricher.recipe import Recipe

COUNT = 20
CAPTION = " ".join(["The housing is a low cylinder with a ribbed rim, seen from the front."] * 8)[:600]
ENCODING = tiktoken.get_encoding("o200k_base")


def sent(request: ChatRequest) -> int:
    """Tokens of the messages and the schema."""
    told = "\n".join(message["content"] for message in request.messages)
    return len(ENCODING.encode(told)) + len(ENCODING.encode(json.dumps(request.schema or "")))


def answered(one: facts.Facts, count: int) -> int:
    texts = [text.as_json() for text in template.texts(one, count)]
    return len(ENCODING.encode(json.dumps({"texts": texts})))


def row(what: str, values: Iterable[int]) -> str:
    counted = np.array(list(values))
    return f"| {what} | {len(counted)} | {counted.mean():.0f} | {np.percentile(counted, 95):.0f} | {counted.max()} |"


def main() -> None:
    with Session(get_engine()) as session:
        rows = session.scalars(select(Drawing.row_id).where(Drawing.removed_in.is_(None))).all()
        known = facts.load(session, rows)
    alone = Recipe("openai", "any", None, "", COUNT, ("en",))
    seen = Recipe("openai", "any", "any", "", COUNT, ("en",))
    designs = list({one.patent_id: one for one in known}.values())
    print("| tokens | number | mean | 95% | most |\n|---|---|---|---|---|")
    print(row("design, asked", (sent(describe_request(alone, one, None)) for one in designs)))
    print(row("design, answered", (answered(one, template.to_ask_for(COUNT)) for one in designs)))
    print(row("drawing, captioner asked", (sent(caption_request(one, None)) for one in known)))
    print(row("drawing, caption", [len(ENCODING.encode(CAPTION))] * len(known)))
    print(row("drawing, asked", (sent(describe_request(seen, one, CAPTION)) for one in known)))
    print(row("drawing, answered", (answered(one, COUNT) for one in known)))


if __name__ == "__main__":
    main()
