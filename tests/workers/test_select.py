"""Choosing by difficulty: how many answers a prompt got is counted over all of them, kept or not."""

from sqlmodel import col, update

from service.models import JobKind, Trace, VersionState
from service.store import curation
from tests.workers.made import add_batch, ledger, order, questions, version


def test_prompts_that_every_answer_got_right_are_left_out(database, work):
    batch = add_batch(database, questions(3), n=4)
    with database.write() as session:
        wrong = update(Trace).where(col(Trace.prompt_id) == 2, col(Trace.sample_index) < 3)
        session.exec(wrong.values(completion_tokens=3))
    recipe = [{"kind": "length"}, {"kind": "select", "pass_rate_max": 0.5}]
    version_id = order(database, "hard", [batch], recipe)
    work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
    reasons = {}
    with database.read() as session:
        (span,) = curation.spans(session, [batch])
        for sample in curation.page(session, curation.stretch(session, span, after=None, limit=50)):
            assert sample.tries == 4
            row = ledger(database, version_id)[sample.id]
            reasons.setdefault(sample.prompt_id, []).append(row.reason)
    assert reasons == {1: ["too_easy"] * 4, 2: ["too_short"] * 3 + [""], 3: ["too_easy"] * 4}
