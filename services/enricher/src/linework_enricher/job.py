"""The handler of enrich jobs."""

from typing import Any

from obstore.store import ObjectStore

from linework_core.jobs.runner import Run
from linework_core.settings import Settings
from linework_enricher import by_model, by_template
from linework_enricher.estimate import DryRun
from linework_enricher.ledger import Ledger
from linework_enricher.recipe import Order
from linework_enricher.titling import Titling


class Enricher:
    """Gives drawings the sets of texts that they lack, or tells what that would take; gives clusters titles."""

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._settings = settings
        self._objects = objects

    def __call__(self, run: Run) -> dict[str, Any]:
        """The job's result. Raises Unprocessable, ProviderRefuses, Unavailable, and Stopped when it should end."""
        if run.params.get("kind") == "titles":
            return Titling(run, self._settings, self._objects)()
        order = Order.read(run.params, self._settings)
        if order.dry_run:
            return DryRun(run, order, self._objects)()
        ledger = Ledger(run, order)
        if order.llm is None:
            by_template.describe_all(run, order, ledger)
        else:
            by_model.describe_all(run, order, ledger, self._settings, self._objects)
        return ledger.close()
