"""What the gateway's routes share: made once at start, handed to them as dependencies."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from obstore.store import ObjectStore
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from linework_api.admission import Admission
from linework_api.bulkheads import Bulkhead
from linework_api.embedder_client import Embedder
from linework_api.jobs.watching import JobWatch
from linework_api.keys.known import KnownKeys
from linework_api.online_embedder import OnlineEmbedder
from linework_api.rates import Rates
from linework_api.readiness import Parts
from linework_api.search.counts import Tally
from linework_api.search.unknown_values import KnownValues
from linework_core.bounded import Decoder
from linework_core.encoders import EncoderFacts
from linework_core.settings import Settings


@dataclass(frozen=True, slots=True)
class SearchResources:
    """What a process needs to search: a gateway, or a worker with a batch."""

    settings: Settings
    engine: Engine
    store: ObjectStore
    decoder: Decoder
    embedder: Embedder
    encoders: dict[int, EncoderFacts] = field(default_factory=dict, kw_only=True)  # by number; they never change
    tally: Tally = field(default_factory=Tally, kw_only=True)
    values: KnownValues = field(default_factory=KnownValues, kw_only=True)


@dataclass(frozen=True, slots=True)
class Resources(SearchResources):
    """The connections of one gateway process, and the places that its requests wait for."""

    housekeeping: Engine  # for keys, the audit log and what is watched: requests may have taken all of the other's
    parts: Parts
    keys: KnownKeys
    rates: Rates
    online: OnlineEmbedder
    watch: JobWatch
    database: Bulkhead  # as many places as `engine` has connections
    pictures: Bulkhead  # reading and decoding pictures: waits for the store and for child processes
    admission: Admission  # of searches by pictures, before their bodies are read
    computing: Bulkhead  # clusters, spreadsheets: Python that takes seconds of a core


async def resources(request: Request) -> Resources:
    # async, like all that waits for nothing: a plain function would take the way through a thread
    found: Resources = request.app.state.resources
    return found


async def session(request: Request) -> Session:
    """A session without a connection yet: the route's class opens, commits and closes it around the endpoint."""
    return Session(request.app.state.resources.engine, expire_on_commit=False)


WithResources = Annotated[Resources, Depends(resources)]
WithSession = Annotated[Session, Depends(session)]
