"""Describing without a model: pages of facts in, pages of sets out."""

import structlog

from linework_core.jobs.runner import Run
from linework_enricher import template
from linework_enricher.ledger import Ledger
from linework_enricher.pages import Pages
from linework_enricher.recipe import Order
from linework_enricher.sets import Failure, NewSet

log = structlog.get_logger()
PAGE = 1000  # drawings that are read, and written in one transaction


def describe_all(run: Run, order: Order, ledger: Ledger) -> None:
    """Raises Stopped."""
    pages = Pages(run.engine, order, size=PAGE, at_most=ledger.left)
    while page := pages.next():
        new: list[NewSet] = []
        failures: list[Failure] = []
        for facts in page:
            run.checkpoint()
            try:
                new.append(NewSet(facts, template.texts(facts, order.recipe.count)))
            except Exception as error:  # whatever a patent's words did to it, the others go on
                log.exception("drawing_not_described", drawing=facts.drawing_id)
                failures.append(Failure(facts.drawing_row, "internal-error", type(error).__name__))
        ledger.write(new, failures)
    if pages.capped:
        ledger.stopped = "budget"
