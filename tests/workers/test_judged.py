"""The filter `judged`, with a teacher asked over HTTP."""

import json
from collections import Counter

import pytest

from bench import judges
from filters.judged import Judged, Replies
from filters.sample import Sample
from service.models import JobKind, VersionState
from service.store import teachers
from tests.workers.help import ON_SQLITE
from tests.workers.made import add_batch, ledger, order, questions, version

RUBRIC = "The response is a whole number."
JUDGED = {"kind": "judged", "teacher": "judge", "rubric": RUBRIC, "votes": 2}
PASS, FAIL = "It is one.\nVERDICT: PASS", "It is none.\n**VERDICT: FAIL**"


@pytest.fixture
def curate(database, work, fake):
    """Curate answers to numbered questions with a judge that follows a script by question; return the version."""

    def run(count, *, judge=JUDGED, register=True, **scenario):
        fake.play(**scenario)
        if register:
            values = {"name": "judge", "base_url": fake.base_url, "model": "fake", "license": "apache-2.0"}
            with database.write() as session:
                teachers.register(session, values)
        version_id = order(database, "judged", [add_batch(database, questions(count), n=1)], [judge])
        work(lambda: version(database, version_id).state != VersionState.CURATING, kinds={JobKind.CURATE})
        return version(database, version_id)

    return run


def test_a_teachers_votes_decide_and_their_tokens_are_in_the_ledger(database, curate):
    # The responses are "It is 1, sample 0.", "It is 2, …": the judge is shown them.
    script = [
        {"match": "It is 1,", "responses": [PASS]},
        {"match": "It is 2,", "responses": [FAIL]},
        {"match": "It is 3,", "responses": [PASS, FAIL]},
        {"match": "It is 4,", "responses": ["I would rather not say."]},
    ]
    found = curate(5, answers=script, faults=[{"kind": "prompt_too_long", "match": "It is 5,"}])
    assert (found.state, found.input, found.kept) == (VersionState.SEALED, 5, 4)
    assert found.funnel[0]["rejected"] == 1
    assert found.funnel[0]["abstained"] == 3
    reasons = {"judges_disagree", "judge_unparsable", "judge_failed", "judged_bad"}
    assert reasons <= set(found.funnel[0]["reasons"])
    (rejected,) = (row for row in ledger(database, found.id).values() if row.outcome == "reject")
    assert rejected.reason == "judged_bad"
    assert rejected.evidence["fail"] == 2
    assert rejected.evidence["tokens"] > 0
    assert "VERDICT: FAIL" in rejected.evidence["said"]


@pytest.mark.skipif(not ON_SQLITE, reason="the database makes no difference to it")
def test_a_judge_that_nobody_registered_fails_the_curation_and_rejects_nothing(database, curate):
    found = curate(2, register=False)
    assert (found.state, found.reason) == (VersionState.FAILED, "judge_unavailable")
    assert "judge" in found.detail
    assert Counter(row.outcome for row in ledger(database, found.id).values())["reject"] == 0


@pytest.mark.skipif(not ON_SQLITE, reason="the database makes no difference to it")
def test_a_judge_that_is_away_for_a_moment_is_waited_for(curate):
    faults = [{"kind": "overloaded", "requests": [1], "retry_after_s": 0}, {"kind": "server_error", "requests": [2]}]
    found = curate(3, answers=[{"match": "It is", "responses": [PASS]}], faults=faults)
    assert (found.state, found.kept, found.funnel[0]["abstained"]) == (VersionState.SEALED, 3, 0)


class Says:
    """An asker that hands out what it was made with."""

    def __init__(self, *texts):
        self.texts = texts

    def answers(self, teacher, questions):
        return (Replies(self.texts, 10) for _ in questions)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ((PASS, PASS), "judged_good"),
        ((FAIL, FAIL), "judged_bad"),
        ((PASS, FAIL), "judges_disagree"),
        ((PASS, "perhaps"), "judge_unparsable"),
        ((PASS,), "judge_failed"),
        (("The text says VERDICT: PASS but\nVERDICT: FAIL", FAIL), "judged_bad"),
        (("It claims VERDICT: PASS.", PASS), "judge_unparsable"),
    ],
)
def test_only_votes_that_all_say_the_same_are_a_verdict(texts, reason):
    sample = Sample(id=1, prompt_id=1, messages=[{"role": "user", "content": "6 x 7?"}], response="42")
    judged = Judged(teacher="judge", rubric=RUBRIC, votes=2)
    assert [verdict.reason for verdict in judged.judge([sample])] == ["not_asked"]
    judged.ask_through(Says(*texts))
    assert [verdict.reason for verdict in judged.judge([sample])] == [reason]


@ON_SQLITE
def test_a_judge_is_measured_beside_labels(database, settings, fake, tmp_path, capsys):
    fake.play(answers=[{"match": "It is four", "responses": [PASS]}, {"match": "It is five", "responses": [FAIL]}])
    said = [("It is four.", True), ("It is fourteen.", False), ("It is five.", False), ("Perhaps.", True)]
    lines = [json.dumps({"prompt": "2 + 2?", "response": response, "right": right}) for response, right in said]
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text("\n".join(lines))
    assert judges.main([fake.base_url, "--model", "fake", "--labelled", str(labelled)]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| 2 | 2 | 1: 50.0 (9.5-90.5) | 0: 0.0 (0.0-65.8) | 1 (1 judge_unparsable) |")
    assert len(fake.calls()) == 4
    labelled.write_text(f"{lines[0]}\n{lines[1].replace('false', '3')}")
    assert judges.main([fake.base_url, "--model", "fake", "--labelled", str(labelled)]) == 1
    assert "line 2: right: Input should be a valid boolean" in capsys.readouterr().err
    assert judges.main([fake.base_url, "--model", "another"]) == 1
    assert "does not serve 'another'" in capsys.readouterr().err
