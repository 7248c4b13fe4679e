"""What can go wrong with an encoder.

LineworkError
├── BadRequest
│   └── BadSpec 400             no such encoder, or an option that it does not know
├── Unprocessable
│   ├── ModelNotAllowed 422     the operator lets no model in from that hub or path (MODEL_HUBS, MODEL_ROOTS)
│   ├── WeightsUnavailable 422  the weights are neither on this machine nor to be fetched
│   └── NoTextTower 422         this encoder maps drawings only
└── NotFinite 500               the model gave NaN or infinity; `rows` says for which items
"""

from collections.abc import Sequence

from linework_core.errors import BadRequest, LineworkError, Unprocessable


class BadSpec(BadRequest):
    type, title = "bad-encoder-spec", "The encoder's name cannot be understood"


class WeightsUnavailable(Unprocessable):
    type, title = "weights-unavailable", "The encoder's weights are not available"


class ModelNotAllowed(Unprocessable):
    type, title = "model-not-allowed", "No model may be loaded from there"


class NoTextTower(Unprocessable):
    type, title = "no-text-tower", "The encoder maps drawings only"


class NotFinite(LineworkError):
    type, title = "vector-not-finite", "The model gave no number"

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(f"The model gave NaN or infinity for {len(rows)} of its inputs.")
        self.rows = list(rows)
