import json

import pytest

from filters.verifiers import json_schema, judge
from filters.verifiers.pool import Pool

SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ('{"a": 1}', ""),
        ('Here you are:\n```json\n{"a": 1}\n```\nEnjoy.', ""),
        ('```\n{"a": 1}\n```', ""),
        ('```json\n{"a": 1}\n```\n```python\nprint(1)\n```', ""),
        ('```json\n{"a": 1}\n```\nNo:\n```json\n{"a": "1"}\n```', "schema_mismatch"),
        ('{"b": 1}', "schema_mismatch"),
        ('{"a": 1', "no_answer"),
        ("The object is {'a': 1}", "no_answer"),
        ("", "no_answer"),
        ("[" * 100_000, "no_answer"),
    ],
)
def test_the_responses_json_must_fit_the_schema(response, reason):
    assert judge(json_schema, response, SCHEMA).reason == reason


def test_a_mismatch_says_where_and_which_rule():
    verdict = json_schema.verify('{"a": "1"}', SCHEMA)
    assert (verdict.evidence["at"], verdict.evidence["rule"]) == ("$.a", "type")


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "no json",
        "true",
        "[]",
        '{"colour": "red"}',
        '{"type": "objet"}',
        '{"$ref": "http://127.0.0.1:9/schema.json"}',
        '{"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}',
        '{"not": ' * 100 + "{}" + "}" * 100,
        '{"enum": ["' + "x" * 20_000 + '"]}',
    ],
)
def test_a_schema_that_says_nothing_or_would_be_fetched_is_not_gradable(schema):
    assert not json_schema.gradable(schema)
    assert judge(json_schema, '{"a": 1}', schema).reason == "reference_not_gradable"


@pytest.mark.parametrize("schema", ['{"type": "object", "required": "a"}', '{"$ref": "#/$defs/none"}', '{"$ref": "#"}'])
def test_a_schema_found_broken_when_it_is_used_abstains(schema):
    assert judge(json_schema, '{"a": 1}', schema).reason == "reference_not_gradable"


def test_what_only_looks_like_a_schema_inside_data_is_data():
    schema = '{"const": {"type": "dog", "$ref": "http://nowhere"}}'
    assert judge(json_schema, '{"type": "dog", "$ref": "http://nowhere"}', schema).outcome == "keep"


def test_a_hostile_pattern_in_a_schema_ends_with_its_process():
    with Pool(timeout_s=1, processes=1) as pool:
        verdict = pool.verify("json_schema", json.dumps("a" * 40 + "!"), '{"type": "string", "pattern": "^(a+)+$"}')
    assert verdict.reason == "verifier_timeout"
