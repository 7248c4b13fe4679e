"""Loading an encoder that is registered."""

from linework_core.errors import LineworkError
from linework_core.settings import Settings
from linework_core.tables import Encoder as EncoderRow
from linework_vision import Encoder, load


class EncoderChanged(LineworkError):
    type, title = "encoder-changed", "The encoder's weights have changed"


def load_registered(row: EncoderRow, settings: Settings) -> Encoder:
    """The encoder on the device of the settings. Raises EncoderChanged, WeightsUnavailable, BadSpec."""
    encoder = load(row.spec, device=settings.device, precision=row.detail.get("precision", "fp32"))
    if encoder.manifest.content_hash != row.content_hash:
        raise EncoderChanged(f"'{row.spec}' was registered as {row.encoder_id} but now loads as {encoder.manifest.id}.")
    return encoder
