"""What a caller may have models cost in a month. A job takes what is left of it as its budget, and keeps to that."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

from sqlalchemy import Numeric, case, func, or_, select
from sqlalchemy.orm import Session

from linework_api.auth import Caller
from linework_core.errors import QuotaExceeded
from linework_core.jobs.service import UNDONE
from linework_core.settings import Settings
from linework_core.tables import Job, LlmCall


def within_quota(session: Session, caller: Caller, params: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The parameters of an enrich job, its budget no more than the caller has left. Raises QuotaExceeded.

    A job under way counts with all that it may still spend, whenever it was made, so that jobs together never exceed
    the quota; a caller who wants several at once gives each a budget of its own.
    """
    quota = caller.llm_usd_per_month
    if quota is None or params["provider"] == "template" or params.get("dry_run") or not _has_a_price(settings):
        return params
    # two requests that come together: the second waits here until the first has committed
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"spending of {caller.name}", 0))))
    now = dt.datetime.now(dt.UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    left = quota - _taken(session, caller.name, month)
    if left <= 0:
        next_month = (month + dt.timedelta(days=32)).replace(day=1)
        raise QuotaExceeded(
            f"This caller may spend {quota:f} US dollars on models in a month, and has, with its jobs under way.",
            retry_after=math.ceil((next_month - now).total_seconds()),
        )
    asked = (params.get("budget") or {}).get("money")
    money = float(left) if asked is None else min(asked, float(left))
    return params | {"budget": (params.get("budget") or {}) | {"money": money}}


def _has_a_price(settings: Settings) -> bool:
    models = (settings.llm, settings.captioner)
    return any(model is not None and (model.price_in or model.price_out) for model in models)


def _taken(session: Session, owner: str, month: dt.datetime) -> Decimal:
    """US dollars that jobs which ended this month have spent, and that those under way have spent or may still spend.

    A job that has worked in two months counts in the later one with all that it cost: rather too much than too little.
    """
    paid = select(func.sum(LlmCall.cost)).where(LlmCall.job_id == Job.id).scalar_subquery()
    spent = func.coalesce(func.greatest(Job.result["cost"].astext.cast(Numeric), paid), 0)
    granted = func.coalesce(Job.params["budget"]["money"].astext.cast(Numeric), 0)
    taken = case((Job.state.in_(UNDONE), func.greatest(spent, granted)), else_=spent)
    counted = or_(Job.state.in_(UNDONE), Job.finished_at >= month)
    mine = (Job.kind == "enrich", Job.owner == owner, counted)
    estimates = func.coalesce(Job.params["dry_run"].astext, "false") == "true"
    return session.scalar(select(func.coalesce(func.sum(taken), 0)).where(*mine, ~estimates)) or Decimal(0)
