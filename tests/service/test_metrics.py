"""Figures for Prometheus."""

import time

import pytest
from prometheus_client import generate_latest
from sqlmodel import col, update

from service.counting import labels_key
from service.metrics import registry
from service.models import Job, JobKind, JobState, Presence, Run, RunState
from service.store import figures, runs, stats

ALL_WORK = ["curate", "generate"]


def shown(database) -> str:
    return generate_latest(registry(database)).decode()


def test_queue_depth_age_and_leases_are_told_by_kind(database):
    at = time.time()
    with database.write() as session:
        waiting = [Job(kind=JobKind.CURATE, subject=f"d@{n}", created_at=at - 100 * n) for n in (1, 2)]
        running = [
            Job(kind=JobKind.GENERATE, subject="b", state=JobState.RUNNING, lease_until=at + lease_s)
            for lease_s in (60, 60, -60)
        ]
        session.add_all([*waiting, *running])
    lines = shown(database)
    assert 'retort_jobs{kind="curate",state="queued"} 2.0' in lines
    assert 'retort_leases{kind="generate",state="held"} 2.0' in lines
    assert 'retort_leases{kind="generate",state="expired"} 1.0' in lines
    assert 'retort_oldest_job_seconds{kind="generate"} 0.0' in lines
    with database.read() as session:
        oldest = next(pile for pile in stats.piles(session) if pile.kind == JobKind.CURATE)
        assert 200 <= oldest.age_s < 260
        assert stats.database_bytes(session) > 10_000


def test_counts_of_several_processes_add_up_and_outlive_them(database):
    counted = {("retort_rows_total", labels_key({"work": "curated"})): 3.0}
    for _ in range(2):
        with database.write() as session:
            figures.add(session, counted)
    assert 'retort_rows_total{work="curated"} 6.0' in shown(database)


def test_a_histogram_is_shown_with_its_buckets_in_order(database):
    name, bounds = "retort_teacher_request_seconds", ("0.1", "10.0", "+Inf")
    counted = {(f"{name}_bucket", labels_key({"teacher": "t", "le": le})): 1.0 for le in bounds}
    with database.write() as session:
        figures.add(session, counted | {(f"{name}_count", labels_key({"teacher": "t"})): 1.0})
    buckets = [line for line in shown(database).splitlines() if line.startswith(f"{name}_bucket")]
    assert [line.partition('le="')[2].partition('"')[0] for line in buckets] == list(bounds)


@pytest.mark.parametrize(("silent_s", "there"), [(0, 1), (figures.ALIVE_S - 5, 1), (figures.ALIVE_S + 5, 0)])
def test_a_worker_counts_while_it_speaks_and_its_gauges_with_it(database, silent_s, there):
    gauge = {"name": "retort_teacher_limit", "labels": {"teacher": "t"}, "value": 8.0}
    with database.write() as session:
        for worker in ("steady", "doubtful"):
            figures.note_worker(session, worker, ALL_WORK, [gauge])
        doubtful = col(Presence.worker) == "doubtful"
        session.connection().execute(update(Presence).where(doubtful).values(seen_at=Presence.seen_at - silent_s))
    lines = shown(database)
    assert f'retort_workers{{kind="curate"}} {1.0 + there}' in lines
    assert 'retort_workers{kind="train"} 0.0' in lines
    assert f'retort_teacher_limit{{teacher="t"}} {8.0 * (1 + there)}' in lines


def test_a_worker_that_ended_is_not_there_any_more(database):
    with database.write() as session:
        figures.note_worker(session, "w", ALL_WORK, [])
        figures.forget_worker(session, "w")
    assert 'retort_workers{kind="curate"} 0.0' in shown(database)


def test_a_training_under_way_tells_its_loss_after_other_news_too(database):
    with database.write() as session:
        run = Run(dataset="d", version=1, method="sft", student="s", state=RunState.RUNNING)
        session.add(run)
        session.flush()
        runs.progress(session, run.id, {"event": "step", "step": 20, "total": 80, "loss": 1.5, "tokens_per_s": 99.0})
        runs.progress(session, run.id, {"event": "saved", "step": 20})
    labels = f'{{method="sft",run="{run.id}"}}'
    lines = shown(database)
    for told in (f"step{labels} 20.0", f"steps{labels} 80.0", f"loss{labels} 1.5", f"tokens_per_second{labels} 99.0"):
        assert f"retort_run_{told}" in lines
    with database.write() as session:
        runs.fail(session, run.id, "out_of_memory", "")
    assert "retort_run_loss{" not in shown(database)


def test_requests_are_counted_by_route_not_by_path(client):
    client.get("/api/batches/batch_secret")
    client.get("/nowhere/at/all")
    lines = client.get("/metrics").text
    assert 'retort_http_requests_total{method="GET",route="/api/batches/{batch_id}",status="404"} 1.0' in lines
    assert 'retort_http_requests_total{method="GET",route="(none)",status="404"} 1.0' in lines
    assert 'retort_http_request_seconds_count{method="GET",route="/api/batches/{batch_id}"} 1.0' in lines
    assert "batch_secret" not in lines
    assert 'retort_build_info{python="3' in lines
