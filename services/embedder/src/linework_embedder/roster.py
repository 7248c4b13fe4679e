"""Which encoders there are, as Postgres knows them, and how they are loaded."""

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from linework_core import encoders
from linework_core.db import transaction
from linework_core.errors import Unavailable
from linework_core.manifest import EncoderManifest
from linework_core.settings import Settings
from linework_core.tables import Encoder as EncoderRow
from linework_embedder.device import prepare_device
from linework_embedder.errors import EncoderChanged
from linework_vision import Encoder, load

log = structlog.get_logger()


class Roster:
    """Postgres' view of the encoders. Its methods block: call them in a thread."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings

    def find(self, encoder_id: str) -> EncoderManifest:
        """Raises NotFound, Gone, Unavailable."""
        try:
            with transaction(self._engine) as session:
                return manifest_of(encoders.find_kept(session, encoder_id))
        except SQLAlchemyError as error:
            raise Unavailable("The database does not answer.") from error

    def active(self) -> EncoderManifest:
        """The encoder that answers searches; at the very first start the default one is made it.

        Raises Unavailable.
        """
        try:
            with transaction(self._engine) as session:
                return manifest_of(encoders.active(session))
        except Unavailable:
            return self._first()
        except SQLAlchemyError as error:
            raise Unavailable("The database does not answer.") from error

    def _first(self) -> EncoderManifest:
        try:
            return manifest_of(ensure_active_encoder(self._engine, self._settings))
        except SQLAlchemyError as error:
            raise Unavailable("The database does not answer.") from error


def ensure_active_encoder(engine: Engine, settings: Settings) -> EncoderRow:
    """Register DEFAULT_ENCODER and activate its index, unless some index is active. Any number of processes
    may do this at once. Raises SQLAlchemyError, BadSpec, WeightsUnavailable.
    """
    with transaction(engine) as session:
        try:
            return encoders.active(session)
        except Unavailable:
            pass
    manifest = load(settings.default_encoder, precision=settings.precision).manifest
    with transaction(engine) as session:
        encoders.ensure_active(session, manifest)
        encoder = encoders.active(session)
    log.info("encoder_active", encoder=encoder.encoder_id)
    return encoder


def manifest_of(row: EncoderRow) -> EncoderManifest:
    fields = {name: getattr(row, name) for name in EncoderManifest.model_fields if name != "id"}
    return EncoderManifest(id=row.encoder_id, **fields)


def load_registered(manifest: EncoderManifest, settings: Settings) -> Encoder:
    """Load what was registered onto the device of the settings, and check that it still is the same.

    Raises EncoderChanged, WeightsUnavailable, BadSpec.
    """
    prepare_device(settings)
    encoder = load(manifest.spec, device=settings.device, precision=manifest.detail.get("precision", "fp32"))
    if encoder.manifest.content_hash != manifest.content_hash:
        raise EncoderChanged(
            f"'{manifest.spec}' was registered as {manifest.id} but now loads as {encoder.manifest.id}: its weights"
            f" or preprocessing are not the same. Put the old ones back, or register the new ones."
        )
    return encoder
