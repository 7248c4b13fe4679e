"""The beat: `celery -A linework_api.beat worker -B -Q reconcile -P solo -S celery.beat.Scheduler`.

One small process that looks for work undone, so that a busy ingest worker cannot keep it from being found.
"""

from linework_core.jobs.reconcile import reconcile
from linework_core.queues import make_celery
from linework_core.settings import get_settings

app = make_celery("beat")
app.conf.beat_schedule = {
    "reconcile": {
        "task": "linework.reconcile",
        "schedule": get_settings().reconcile_seconds,
        "options": {"queue": "reconcile", "expires": get_settings().reconcile_seconds},
    }
}


@app.task(name="linework.reconcile")
def run() -> None:
    """Plan the embedding that is missing, and nudge what waits."""
    reconcile()
