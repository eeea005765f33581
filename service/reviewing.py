"""What a person says of a trace, over the API or on its page: noted, and put on record."""

from service.acts import Act
from service.api.shapes.traces import ReviewIn
from service.caller import Caller
from service.store import audit, reviews
from service.store.database import Database


def note(database: Database, caller: Caller, trace_id: int, said: ReviewIn) -> None:
    """Note what was said, or take the last thing back. NotFound and Conflict say what stands against it."""
    with database.write() as session:
        if said.withdraws is not None:
            reviews.withdraw(session, trace_id, said.author, said.withdraws)
        else:
            reviews.add(session, trace_id, said.author, **said.said())
        told = {"outcome": said.outcome, "withdraws": said.withdraws, "author": said.author}
        audit.record(session, caller, Act.TRACE_REVIEWED, str(trace_id), **told)
