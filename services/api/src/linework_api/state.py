"""What the gateway's routes share: made once at start, handed to them as dependencies."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from obstore.store import ObjectStore
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from linework_api.embedder_client import EmbedderClient
from linework_api.keys.known import KnownKeys
from linework_api.rates import Rates
from linework_api.search.counts import Tally
from linework_core.bounded import Decoder
from linework_core.db import transaction
from linework_core.encoders import EncoderFacts
from linework_core.settings import Settings


@dataclass(frozen=True, slots=True)
class SearchResources:
    """What a process needs to search: a gateway, or a worker with a batch."""

    settings: Settings
    engine: Engine
    store: ObjectStore
    decoder: Decoder
    embedder: EmbedderClient
    encoders: dict[int, EncoderFacts] = field(default_factory=dict, kw_only=True)  # by number; they never change
    tally: Tally = field(default_factory=Tally, kw_only=True)


@dataclass(frozen=True, slots=True)
class Resources(SearchResources):
    """The connections of one gateway process."""

    prober: Engine  # readiness opens connections of its own: one from the pool may hang with the server
    keys: KnownKeys
    rates: Rates


async def resources(request: Request) -> Resources:
    # async, like all that waits for nothing: a plain function would take the way through a thread
    found: Resources = request.app.state.resources
    return found


def session(request: Request) -> Iterator[Session]:
    """One transaction a request. It commits before the answer is sent, so a caller who reads 202 finds the job."""
    with transaction(request.app.state.resources.engine) as opened:
        yield opened


WithResources = Annotated[Resources, Depends(resources)]
WithSession = Annotated[Session, Depends(session, scope="function")]
