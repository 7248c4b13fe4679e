"""What is looked at when the gateway starts."""

import structlog
from sqlalchemy.exc import SQLAlchemyError

from linework_api.keys import service
from linework_core.db import make_prober, transaction
from linework_core.settings import Settings

log = structlog.get_logger()
HINT = "Make one: python -m linework_api.keys create NAME --scope admin (or bootstrap)."


def check_keys(settings: Settings) -> None:
    """Refuse to start off loopback while nobody has a key. Raises ValueError.

    A database that is away, or not migrated yet, is no reason: until it answers, no caller gets in.
    """
    if settings.auth == "off":
        return
    try:
        with transaction(make_prober(settings.database_url)) as session:
            usable = service.any_usable(session)
    except SQLAlchemyError as error:
        log.warning("keys_not_checked", error=type(error).__name__)
        return
    if usable:
        return
    if not settings.on_loopback:
        raise ValueError(f"AUTH=on on {settings.api_host}, and the database holds no usable API key. {HINT}")
    log.warning("no_usable_key", detail=HINT)
