"""Cancelling work, whichever door it is asked through: the audit keeps who did."""

from sqlmodel import Session

from service.acts import Act
from service.caller import Caller
from service.models import Run
from service.store import audit, batches, runs


def cancel_batch(session: Session, caller: Caller, batch_id: str) -> None:
    """Stop asking; answers that are stored stay. Conflict where the batch has ended."""
    batches.cancel(session, batch_id)
    audit.record(session, caller, Act.BATCH_CANCELLED, batch_id)


def cancel_run(session: Session, caller: Caller, run_id: str) -> Run:
    """Stop a training for good; its checkpoints stay. Conflict where it has ended."""
    run = runs.cancel(session, run_id)
    audit.record(session, caller, Act.RUN_CANCELLED, run_id)
    return run
