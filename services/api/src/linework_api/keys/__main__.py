"""`python -m linework_api.keys`: make, list and revoke API keys. It needs the database alone.

`bootstrap` makes BOOTSTRAP_ADMIN_KEY, or what BOOTSTRAP_ADMIN_KEY_FILE holds, the first admin's key; run after every
migration it changes nothing, unless the key is another one: that replaces the former.
"""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Sequence
from typing import Any, get_args
from uuid import UUID

import structlog
from pydantic import ValidationError

from linework_api.audit import trail
from linework_api.keys import service
from linework_api.keys.schemas import Grant, KeyMade, KeyView, Scope
from linework_core import logs
from linework_core.db import transaction, wait_for_server
from linework_core.errors import LineworkError
from linework_core.settings import Settings, get_settings

log = structlog.get_logger()
BY = "command-line"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when it was done. Keys are printed as JSON, a new one with the key itself, once."""
    options = _parser().parse_args(argv)
    settings = get_settings()
    logs.configure("keys", settings.log_level)
    try:
        wait_for_server(settings.database_url)
        told = options.act(options, settings)
    except ValidationError as error:
        return _refused("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()))
    except (ValueError, LineworkError, OSError) as error:
        return _refused(str(error))
    if told is not None:
        json.dump(told, sys.stdout, indent=2)
        sys.stdout.write("\n")
    return 0


def create(options: argparse.Namespace, _: Settings) -> dict[str, Any]:
    """A new key. Raises ValidationError."""
    days = options.expires_in_days
    grant = Grant(
        name=options.name,
        scopes=options.scope,
        expires_at=None if days is None else dt.datetime.now(dt.UTC) + dt.timedelta(days=days),
        rate_per_minute=options.rate_per_minute,
        searches_per_day=options.searches_per_day,
        llm_usd_per_month=options.llm_usd_per_month,
    )
    key = service.new_key()
    with transaction() as session:
        added = service.add(session, grant, key, by=BY)
        trail.by_command(session, BY, "keys create", str(added.id))
        return KeyMade(**KeyView.of(added).model_dump(), key=key).model_dump(mode="json")


def listed(_: argparse.Namespace, __: Settings) -> list[dict[str, Any]]:
    """All keys, the newest first."""
    with transaction() as session:
        return [KeyView.of(key).model_dump(mode="json") for key in service.page(session, after=None, limit=10_000)]


def revoke(options: argparse.Namespace, _: Settings) -> dict[str, Any]:
    """Raises NotFound."""
    with transaction() as session:
        revoked = service.revoke(session, options.id)
        trail.by_command(session, BY, "keys revoke", str(revoked.id))
        return KeyView.of(revoked).model_dump(mode="json")


def bootstrap(_: argparse.Namespace, settings: Settings) -> None:
    """Raises ValueError for a key that can be guessed."""
    secret = settings.own_secret("bootstrap_admin_key")
    if secret is None:
        log.info("nothing_to_bootstrap", detail="Neither BOOTSTRAP_ADMIN_KEY nor BOOTSTRAP_ADMIN_KEY_FILE is set.")
        return
    with transaction() as session:
        added = service.bootstrap(session, secret.get_secret_value())
        if added is not None:
            trail.by_command(session, service.BOOTSTRAP, "keys bootstrap", str(added.id))
    log.info("bootstrap_key_made" if added else "bootstrap_key_known", key_id=str(added.id) if added else None)


def _refused(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m linework_api.keys", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="create|list|revoke|bootstrap")
    one = commands.add_parser("create", help="make a key and print it, once")
    one.add_argument("name", help="the caller's name; jobs and searches belong to it")
    one.add_argument("--scope", action="append", required=True, choices=get_args(Scope), help="repeatable")
    one.add_argument("--expires-in-days", type=float)
    one.add_argument("--rate-per-minute", type=int, help="requests in any minute (default: RATE_LIMIT_PER_MINUTE)")
    one.add_argument("--searches-per-day", type=int)
    one.add_argument("--llm-usd-per-month", help="what descriptions and titles may cost")
    one.set_defaults(act=create)
    commands.add_parser("list", help="list all keys").set_defaults(act=listed)
    end = commands.add_parser("revoke", help="end a key for good")
    end.add_argument("id", type=UUID)
    end.set_defaults(act=revoke)
    first = commands.add_parser("bootstrap", help="make BOOTSTRAP_ADMIN_KEY(_FILE) the first admin's key")
    first.set_defaults(act=bootstrap)
    return parser


if __name__ == "__main__":
    sys.exit(main())
