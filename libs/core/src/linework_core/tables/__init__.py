"""The tables. Rows about the corpus are versions: `added_in` and `removed_in` number the snapshots between
which a row is true, and nothing but `removed_in` of such a row ever changes (design, rule 3).

Each table has one writing service, named at the head of its file (jobs: the gateway and the workers).
Closing a patent closes its drawings, vectors and descriptions in the same transaction (linework_core/corpus.py).
"""

from linework_core.tables.base import Base, Failure, Filterable
from linework_core.tables.callers import ApiKey, AuditEntry
from linework_core.tables.corpus import Citation, Corpus, Drawing, Erasure, Figure, Package, Patent, SetAside, Sheet
from linework_core.tables.descriptions import (
    ClusterTitle,
    Description,
    DescriptionVector,
    DescriptionVectorFailure,
    EnrichFailure,
    LlmCall,
)
from linework_core.tables.encoders import Embedding, EmbedFailure, Encoder, VectorIndex
from linework_core.tables.evaluations import Evaluation
from linework_core.tables.jobs import IdempotencyKey, Job
from linework_core.tables.searches import BatchQuery, Search, SearchShare, Unrecorded

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "BatchQuery",
    "Citation",
    "ClusterTitle",
    "Corpus",
    "Description",
    "DescriptionVector",
    "DescriptionVectorFailure",
    "Drawing",
    "EmbedFailure",
    "Embedding",
    "Encoder",
    "EnrichFailure",
    "Erasure",
    "Evaluation",
    "Failure",
    "Figure",
    "Filterable",
    "IdempotencyKey",
    "Job",
    "LlmCall",
    "Package",
    "Patent",
    "Search",
    "SearchShare",
    "SetAside",
    "Sheet",
    "Unrecorded",
    "VectorIndex",
]
