"""Pushing an export to S3: a real server on this machine, reached as a user would reach one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from service.cli.terminal import FAILED
from tests.service.cli.conftest import ROOT
from tests.service.cli.test_cli_push import export, files

KEYS = {"AWS_ACCESS_KEY_ID": "ann", "AWS_SECRET_ACCESS_KEY": "of-no-use-elsewhere", "AWS_DEFAULT_REGION": "us-east-1"}
NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_CONFIG_FILE": "none"}
TARGET = "s3://shelf/sums/v1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Any]:
    """An empty bucket, looked at with Amazon's own client."""
    names = {"aws_access_key_id": "ann", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    s3: Any = boto3.resource("s3", endpoint_url=endpoint, **names)
    made = s3.create_bucket(Bucket="shelf")
    yield made
    made.objects.all().delete()
    s3.meta.client.close()


@pytest.fixture
def push(tmp_path: Path):
    """Call `retort push` in a process of its own, whose environment says nothing of S3 but what the test does."""

    def call(*arguments: str, first: str = "pass", **more: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FSSPEC_", "RETORT_"))
        }
        command = [sys.executable, "-c", f"{first}; from service.cli import main; main()", "push", *arguments]
        env = kept | {"PYTHONPATH": str(ROOT)} | NOBODY | more
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return call


def there(bucket: Any) -> dict[str, bytes]:
    return {found.key.removeprefix("sums/v1/"): found.get()["Body"].read() for found in bucket.objects.all()}


def test_a_push_to_s3_sends_what_is_missing_or_damaged_and_nothing_else(push, bucket, endpoint, tmp_path):
    folder = export(tmp_path / "one", b"one")
    done = push(str(folder), TARGET, "--json", **KEYS, AWS_ENDPOINT_URL=endpoint)
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["sent"], there(bucket)) == (4, files(folder))
    # As a push leaves it that broke on the way, and a file of the same size with another byte.
    bucket.Object("sums/v1/manifest.json").delete()
    bucket.Object("sums/v1/rejected.parquet").put(Body=b"rejecte!")
    untouched = bucket.Object("sums/v1/data/train-00000.parquet").last_modified
    again = push(str(folder), TARGET, "--json", **KEYS, FSSPEC_S3_ENDPOINT_URL=endpoint)
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["sent"], told["there"], there(bucket)) == (2, 2, files(folder))
    assert bucket.Object("sums/v1/data/train-00000.parquet").last_modified == untouched
    other = push(str(export(tmp_path / "two", b"two", version=2)), TARGET, **KEYS, AWS_ENDPOINT_URL=endpoint)
    assert (other.returncode, "holds sums@1 already" in other.stderr) == (2, True)


def test_a_bucket_that_is_not_there_is_told_and_not_made(push, bucket, endpoint, tmp_path):
    folder = export(tmp_path / "one", b"one")
    missing = push(str(folder), "s3://shelv/sums", **KEYS, AWS_ENDPOINT_URL=endpoint)
    assert (missing.returncode, "bucket does not exist" in missing.stderr) == (FAILED, True), missing.stderr
    assert [each["Name"] for each in bucket.meta.client.list_buckets()["Buckets"]] == ["shelf"]


def test_s3_without_keys_or_without_its_package_says_what_is_missing(push, endpoint, tmp_path):
    folder = str(export(tmp_path / "one", b"one"))
    nobody = push(folder, TARGET, AWS_ENDPOINT_URL=endpoint)
    assert (nobody.returncode, "Unable to locate credentials" in nobody.stderr) == (FAILED, True), nobody.stderr
    bare = push(folder, TARGET, first="import sys; sys.modules['s3fs'] = None")
    assert (bare.returncode, "pip install s3fs" in bare.stderr) == (2, True), bare.stderr
