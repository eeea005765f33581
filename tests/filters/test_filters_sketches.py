import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters import sketch_files, twins
from filters.bands import Bands
from filters.near_duplicate import NearDuplicate
from filters.shingles import VERSION, shingles
from filters.sketches import Sketches
from tests.filters.conftest import make_sample

WORDS = [f"word{number}" for number in range(40)]


@pytest.fixture(autouse=True)
def room(monkeypatch):
    monkeypatch.setattr(sketch_files, "FREE_BYTES_MIN", 0)


def trace(number, text, prompt=None):
    return make_sample(id=number, prompt_id=prompt or number, messages=[], reasoning="", response=text)


def corpus(size, seed=0):
    """Return traces of which every third repeats an earlier one, with a word or two changed."""
    chosen, texts = random.Random(seed), []
    for number in range(size):
        words = texts[chosen.randrange(number)][:] if number % 3 == 2 else chosen.choices(WORDS, k=60)
        words[chosen.randrange(len(words))] = chosen.choice(WORDS)
        texts.append(words)
    return [trace(number, " ".join(words)) for number, words in enumerate(texts)]


def judged(samples, folder=None, **knobs):
    near = NearDuplicate(**{"on": "trace"} | knobs)
    if folder:
        near.keep_in(folder)
    return list(near.judge(samples))


def held(folder):
    return {path.name: path.stat().st_size for path in folder.iterdir()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_verdicts_are_the_same_with_what_earlier_runs_kept_and_without(tmp_path, data):
    """All examples share a folder, so that each finds what others left: other texts, orders, groups and knobs."""
    pieces = st.lists(st.sampled_from(["ab cd ef", "gh ij", "kl", "mn op qr st", "\ud800"]), max_size=6)
    texts = data.draw(st.lists(pieces.map(" ".join), min_size=1, max_size=30))
    prompts = data.draw(st.lists(st.integers(1, 4), min_size=len(texts), max_size=len(texts)))
    knobs = {
        "threshold": data.draw(st.sampled_from([0.3, 0.8])),
        "shingle_words": data.draw(st.integers(1, 2)),
        "across_prompts_only": data.draw(st.booleans()),
    }
    samples = [trace(number, text, prompt) for number, (text, prompt) in enumerate(zip(texts, prompts, strict=True))]
    assert judged(samples, tmp_path, **knobs) == judged(samples, **knobs)


def test_a_grown_dataset_adds_only_what_is_new(tmp_path):
    samples = corpus(600)
    judged(samples[:512], tmp_path)
    before = held(tmp_path)
    assert judged(samples[:512], tmp_path) == judged(samples[:512])
    assert held(tmp_path) == before, "all was known"
    assert judged(samples, tmp_path) == judged(samples)
    assert sum(held(tmp_path).values()) < 1.3 * sum(before.values())


def test_behind_other_filters_or_with_another_threshold_the_phrases_are_known_still(tmp_path):
    samples = corpus(512)
    judged(samples, tmp_path)
    before = sum(held(tmp_path).values())
    for some, knobs in ((samples[1:], {}), (samples, {"threshold": 0.5})):
        assert judged(some, tmp_path, **knobs) == judged(some, **knobs)
    keys_bytes = 512 * (30 * 8 + 16)
    assert sum(held(tmp_path).values()) < before + 2 * keys_bytes + 2000


@pytest.mark.parametrize("harm", ["a bit", "the end", "all", "garbage"])
def test_a_damaged_file_costs_time_and_changes_no_verdict(tmp_path, harm):
    samples = corpus(60)
    expected = judged(samples)
    judged(samples, tmp_path)
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    for at in range(0, len(whole), 2999) if harm == "a bit" else (len(whole) // 2,):
        data = {
            "a bit": whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :],
            "the end": whole[:at],
            "all": b"",
            "garbage": bytes(random.Random(1).randbytes(len(whole))),
        }[harm]
        for other in tmp_path.iterdir():
            other.unlink()
        path.write_bytes(data)
        assert judged(samples, tmp_path) == expected
        after = held(tmp_path)
        assert judged(samples, tmp_path) == expected
        assert held(tmp_path) == after, "what was lost is known again"


KILLED = """
import os, signal, sys
from pathlib import Path
from filters import sketch_files, twins
from filters.bands import Bands
from tests.filters.test_filters_sketches import NearDuplicate, corpus
sketch_files.SEALED_BYTES, sketch_files.FREE_BYTES_MIN = 200_000, 0
near = NearDuplicate(on="trace")
near.keep_in(Path(sys.argv[1]))
for number, _ in enumerate(near.judge(corpus(1500))):
    if number == 1400:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_had_finished_is_used_and_the_rest_ignored(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {path.suffix for path in tmp_path.iterdir()} == {".part", ".sets"}
    with closing(Sketches(tmp_path, 5)) as sketches:
        assert 300 < len(sketches._keys) < 1500
    samples = corpus(1500)
    assert judged(samples, tmp_path) == judged(samples)
    for path in tmp_path.glob("*.part"):
        os.utime(path, (0, 0))
    judged(samples[:1], tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".sets"}


def test_many_small_runs_leave_few_files(tmp_path):
    samples = corpus(600)
    for end in range(20, 601, 20):
        judged(samples[:end], tmp_path)
    assert len(held(tmp_path)) < 8


def test_two_at_once_do_not_disturb_each_other(tmp_path):
    samples = corpus(300)
    near = NearDuplicate(on="trace")
    near.keep_in(tmp_path)
    one, other = near.judge(samples), near.judge(samples)
    found = list(zip(one, other, strict=True))
    assert [verdict for verdict, _ in found] == [verdict for _, verdict in found] == judged(samples)


def test_a_folder_stays_within_its_bounds_and_what_is_long_unused_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(sketch_files, "SEALED_BYTES", 20_000)

    def keep(seed):
        with closing(Sketches(tmp_path, 5, bytes_max=60_000)) as sketches:
            for sample in corpus(400, seed):
                sketches.of([sample.response])

    keep(1)
    full = held(tmp_path)
    assert 40_000 < sum(full.values()) < 80_000
    keep(2)
    assert held(tmp_path) == full, "nobody may push out what was used lately"
    long_ago = time.time() - sketch_files.IDLE_S - 1
    for name in full:
        os.utime(tmp_path / name, (long_ago, long_ago))
    keep(2)
    assert sum(held(tmp_path).values()) < 80_000
    assert not held(tmp_path).keys() & full.keys()


def test_whoever_deletes_the_folder_during_a_run_loses_time_only(tmp_path):
    samples, folder = corpus(600), tmp_path / "sketches"
    judged(samples[:400], folder)
    near = NearDuplicate(on="trace")
    near.keep_in(folder)
    found = []
    for verdict in near.judge(samples):
        found.append(verdict)
        if len(found) == 300:
            shutil.rmtree(folder)
    assert found == judged(samples)


def test_nothing_is_kept_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(sketch_files, "FREE_BYTES_MIN", 2**62)
    samples = corpus(30)
    assert judged(samples, tmp_path) == judged(samples)
    assert not held(tmp_path)


def test_hashes_and_keys_change_only_with_their_versions():
    """Files of earlier runs are read by them: when this fails, raise the version and write the new digest here."""
    texts = [b"the quick brown fox jumps over the lazy dog", b"ab", "地球の半径".encode()]
    sets = shingles(texts, 3)
    keys = Bands(0.8, 128).keys(sets, len(texts))
    made = [hashlib.sha256(numbers.tobytes()).hexdigest()[:16] for numbers in (sets.hashes, keys)]
    assert (VERSION, made[0]) == (1, "af61c55204010c7f")
    assert (twins.VERSION, made[1]) == (1, "c3b7401e966c296a")
