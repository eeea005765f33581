"""`retort benchmark`: a file of test questions, and the recipe that names it."""

import json


def test_a_benchmark_is_added_listed_and_found_again(call, tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text('{"question": "What is 6 times 7?", "answer": "42"}\n')
    added = call("benchmark", "add", "sums", str(file), "--column", "question", "--json")
    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout)["lines"] == 1
    assert "there already" in call("benchmark", "add", "sums", str(file), "--column", "question").stdout
    assert "sums" in call("benchmark", "list").stdout


def test_a_column_that_is_not_there_is_named_with_the_nearest(call, tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text('{"question": "?"}\n')
    refused = call("benchmark", "add", "sums", str(file), "--column", "qestion")
    assert refused.exit_code == 2
    assert "line 1: there is no column 'qestion'; did you mean 'question'?" in refused.stderr
