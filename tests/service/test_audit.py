"""The audit: who did what is written with the act, stays as it is, and is read by admins alone."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import DatabaseError
from sqlmodel import text

from service.acts import Act
from service.app import create_app
from service.caller import Caller
from service.scopes import Scope
from service.settings import Settings
from service.store import audit
from service.throttle import REMEMBERED, TRIES, WINDOW_S, Throttle
from tests.service.conftest import HERE, TEACHER

ADMIN = {"Authorization": "Bearer s3cret"}
ADA = Caller(Scope.ADMIN, "Ada", "key_1", "192.0.2.7")
ANY = audit.AuditFilter()
FLOOD = 200


@pytest.fixture
def locked(tmp_path) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path, database_url="", api_key="s3cret")
    with TestClient(create_app(settings), base_url=HERE, follow_redirects=False) as client:
        yield client


def acts(client: TestClient, **query) -> list[tuple[str, str, str]]:
    rows = client.get("/api/audit", params=query, headers=ADMIN).json()["data"]
    return [(row["act"], row["subject"], row["who"]) for row in rows]


def test_what_is_done_is_remembered_with_the_name_of_the_key(locked):
    key = locked.post("/api/keys", json={"name": "Ada", "scope": "admin"}, headers=ADMIN).json()
    ada = {"Authorization": f"Bearer {key['token']}"}
    for body in (TEACHER, TEACHER, TEACHER | {"license": "mit"}):
        assert locked.post("/api/teachers", json=body, headers=ada).status_code < 300
    batch = locked.post("/api/batches?teacher=tiny", content=b'{"prompt": "a"}', headers=ada).json()["id"]
    locked.post(f"/api/batches/{batch}/cancel", headers=ada)
    locked.delete(f"/api/batches/{batch}", headers=ada)
    for _ in range(2):
        locked.delete(f"/api/keys/{key['id']}", headers=ADMIN)
    assert acts(locked) == [
        ("key.revoked", key["id"], "RETORT_API_KEY"),
        ("batch.deleted", batch, "Ada"),
        ("batch.cancelled", batch, "Ada"),
        ("teacher.changed", "tiny", "Ada"),
        ("teacher.added", "tiny", "Ada"),
        ("key.made", key["id"], "RETORT_API_KEY"),
    ]
    changed = locked.get("/api/audit?act=teacher.changed", headers=ADMIN).json()["data"][0]
    assert (changed["detail"], changed["address"]) == ({"license": ["apache-2.0", "mit"]}, "testclient")


def test_an_act_that_is_refused_leaves_no_row(locked):
    assert locked.post("/api/batches/batch_x/cancel", headers=ADMIN).status_code == 404
    assert acts(locked) == []


def test_rows_are_found_by_act_name_and_subject_and_paged(locked):
    made = [locked.post("/api/keys", json={"name": f"k{n}"}, headers=ADMIN).json()["id"] for n in range(3)]
    locked.delete(f"/api/keys/{made[0]}", headers=ADMIN)
    assert [subject for _, subject, _ in acts(locked, act="key.made")] == made[::-1]
    assert [act for act, *_ in acts(locked, subject=made[0])] == ["key.revoked", "key.made"]
    assert acts(locked, who="nobody") == []
    first = locked.get("/api/audit?limit=3", headers=ADMIN).json()
    rest = locked.get(f"/api/audit?limit=3&after={first['next']}", headers=ADMIN).json()
    assert [row["subject"] for row in rest["data"]] == [made[0]]
    assert rest["next"] is None


def test_hostile_text_in_it_is_shown_as_text(locked):
    locked.get("/api/<script>x</script>", headers={"Authorization": "Bearer wrong"})
    assert "&lt;script&gt;x" in locked.get("/audit", headers=ADMIN).text


@pytest.mark.parametrize(("scope", "status"), [("submit", 403), ("admin", 200)])
def test_only_an_admin_reads_it(locked, scope, status):
    token = locked.post("/api/keys", json={"name": "x", "scope": scope}, headers=ADMIN).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert locked.get("/api/audit", headers=headers).status_code == status
    assert locked.get("/audit", headers=headers).status_code == status


def test_no_route_changes_it(locked):
    methods = {method for path, found in locked.app.openapi()["paths"].items() if "audit" in path for method in found}
    assert methods == {"get"}


@pytest.mark.parametrize("statement", ["update audit set who = 'Eve'", "delete from audit"])
def test_the_database_itself_refuses_to_change_a_row(database, statement):
    with database.write() as session:
        audit.record(session, ADA, Act.KEY_MADE, "key_2", name="x")
    with pytest.raises(DatabaseError, match="append-only"), database.write() as session:
        session.connection().execute(text(statement))
    with database.read() as session:
        assert [row.who for row in audit.page(session, ANY, after=0, limit=9)] == ["Ada"]


def test_an_act_that_rolls_back_takes_its_row_along(database):
    def act_and_fail() -> None:
        with database.write() as session:
            audit.record(session, ADA, Act.KEY_MADE, "key_2")
            session.flush()
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        act_and_fail()
    with database.read() as session:
        assert audit.page(session, ANY, after=0, limit=9) == []


def test_a_flood_of_wrong_keys_is_throttled_and_counted_once_each_until_then(locked):
    good = locked.post("/api/keys", json={"name": "here before"}, headers=ADMIN).json()["token"]
    before = {"Authorization": f"Bearer {good}"}
    assert locked.get("/api/batches", headers=before).status_code == 200
    answers = [locked.get("/api/batches", headers={"Authorization": f"Bearer wrong-{n}"}) for n in range(FLOOD)]
    assert [answer.status_code for answer in answers] == [401] * TRIES + [429] * (FLOOD - TRIES)
    assert 0 < int(answers[-1].headers["retry-after"]) <= WINDOW_S
    assert [act for act, *_ in acts(locked)] == ["key.throttled", *["key.refused"] * (TRIES - 1), "key.made"]
    assert locked.get("/api/batches", headers=before).status_code == 200
    openai = locked.get("/v1/models", headers={"Authorization": "Bearer wrong"})
    assert (openai.status_code, openai.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    form = locked.post("/sign-in", data={"key": "wrong"}, headers={"accept": "text/html"})
    assert (form.status_code, "no other one is looked at" in form.text) == (429, True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_the_window_keys_are_looked_at_again():
    clock = Clock()
    throttle = Throttle(clock)
    for count in range(1, TRIES + 1):
        assert throttle.wait_s("192.0.2.1", "x") == 0
        assert throttle.wrong("192.0.2.1") == count
    assert throttle.wait_s("192.0.2.1", "x") == WINDOW_S
    assert throttle.wait_s("192.0.2.2", "x") == 0
    clock.now = WINDOW_S
    assert (throttle.wait_s("192.0.2.1", "x"), throttle.wrong("192.0.2.1")) == (0, 1)


@pytest.mark.parametrize(("other", "held_back"), [("2001:db8::ffff", True), ("2001:db8:0:1::1", False)])
def test_a_network_of_ipv6_is_one_person(other, held_back):
    throttle = Throttle(Clock())
    for _ in range(TRIES):
        throttle.wrong("2001:db8::1")
    assert bool(throttle.wait_s(other, "x")) is held_back


def test_what_is_remembered_is_bounded():
    throttle = Throttle(Clock())
    for number in range(REMEMBERED + 5):
        throttle.wrong(f"10.0.{number // 256}.{number % 256}")
        throttle.right("192.0.2.1", str(number))
    assert len(throttle._wrong) == len(throttle._right) == REMEMBERED
