import json

import pytest

from filters.licence import LicenceFilter
from filters.licences.check import Override, check
from filters.licences.table import find, rows
from filters.manifest import Licence

C, R = "commercial", "research"

# teacher, prompts, base, use, decision, role and licence of the clause that decides
COMBINATIONS = [
    ("apache-2.0", "own", None, C, "allowed", "teacher", "apache-2.0"),
    ("mit", "own", None, C, "allowed", "teacher", "mit"),
    ("apache-2.0", "own", "apache-2.0", C, "allowed_with_duties", "base", "apache-2.0"),
    ("mit", "mit", "mit", C, "allowed_with_duties", "base", "mit"),
    ("gpt-oss", "cc0-1.0", None, C, "allowed", "teacher", "apache-2.0"),
    ("deepseek-r1", "public domain", None, C, "allowed", "teacher", "mit"),
    ("apache-2.0", "cc-by-4.0", None, C, "allowed_with_duties", "prompts", "cc-by"),
    ("apache-2.0", "cc-by-sa-4.0", None, C, "allowed_with_duties", "prompts", "cc-by-sa"),
    ("apache-2.0", "odc-by", None, C, "allowed_with_duties", "prompts", "odc-by"),
    ("apache-2.0", "cc-by-nc-4.0", None, C, "forbidden", "prompts", "cc-by-nc"),
    ("apache-2.0", "cc-by-nc-4.0", None, R, "allowed_with_duties", "prompts", "cc-by-nc"),
    ("apache-2.0", "cc-by-nc-sa-4.0", None, C, "forbidden", "prompts", "cc-by-nc-sa"),
    ("apache-2.0", "cc-by-nd-4.0", None, R, "unknown", "prompts", "cc-by-nd"),
    ("apache-2.0", "gpl-3.0", None, C, "unknown", "prompts", "copyleft-software"),
    ("deepseek", "own", "apache-2.0", C, "allowed_with_duties", "teacher", "deepseek"),
    ("llama2", "own", "apache-2.0", C, "forbidden", "teacher", "llama2"),
    ("llama2", "own", "llama2", C, "allowed_with_duties", "teacher", "llama2"),
    ("llama3", "own", None, C, "forbidden", "teacher", "llama3"),
    ("llama3", "own", "apache-2.0", C, "forbidden", "teacher", "llama3"),
    ("llama3", "own", "apache-2.0", R, "forbidden", "teacher", "llama3"),
    ("llama3", "own", "llama3", C, "allowed_with_duties", "teacher", "llama3"),
    ("llama3", "own", "llama3.1", C, "forbidden", "teacher", "llama3"),
    ("llama3", "own", "something else", C, "unknown", "teacher", "llama3"),
    ("llama3.1", "own", "apache-2.0", C, "allowed_with_duties", "teacher", "llama3.1"),
    ("llama3.2", "own", "mit", C, "allowed_with_duties", "teacher", "llama3.2"),
    ("llama3.3", "own", None, C, "allowed_with_duties", "teacher", "llama3.3"),
    ("llama4", "own", "apache-2.0", R, "allowed_with_duties", "teacher", "llama4"),
    ("apache-2.0", "llama3", "apache-2.0", C, "forbidden", "prompts", "llama3"),
    ("apache-2.0", "llama3.1", "apache-2.0", C, "allowed_with_duties", "prompts", "llama3.1"),
    ("gemma", "own", "apache-2.0", C, "allowed_with_duties", "teacher", "gemma"),
    ("gemma-4", "own", None, C, "allowed", "teacher", "gemma-4"),
    ("apache-2.0", "own", "gemma", C, "allowed_with_duties", "base", "gemma"),
    ("qwen", "own", "apache-2.0", C, "allowed_with_duties", "teacher", "qwen"),
    ("qwen-research", "own", "apache-2.0", C, "forbidden", "teacher", "qwen-research"),
    ("qwen-research", "own", "apache-2.0", R, "allowed_with_duties", "teacher", "qwen-research"),
    ("apache-2.0", "own", "qwen-research", C, "forbidden", "base", "qwen-research"),
    ("tongyi-qianwen", "own", "qwen", C, "allowed_with_duties", "teacher", "tongyi-qianwen"),
    ("tongyi-qianwen", "own", "llama3.1", C, "forbidden", "teacher", "tongyi-qianwen"),
    ("tongyi-qianwen", "own", "apache-2.0", C, "unknown", "teacher", "tongyi-qianwen"),
    ("hunyuan", "own", "apache-2.0", C, "forbidden", "teacher", "hunyuan"),
    ("mrl", "own", "apache-2.0", C, "forbidden", "teacher", "mrl"),
    ("mrl", "own", "apache-2.0", R, "allowed_with_duties", "teacher", "mrl"),
    ("mnpl", "own", None, C, "forbidden", "teacher", "mnpl"),
    ("nvidia-open-model-license", "own", None, C, "allowed", "teacher", "nvidia-open-model-license"),
    ("openrail", "own", None, R, "unknown", "teacher", "openrail"),
    ("bigcode-openrail-m", "own", None, C, "unknown", "teacher", "openrail"),
    ("apache-2.0", "own", "openrail", C, "allowed_with_duties", "base", "openrail"),
    ("openai", "own", None, C, "unknown", "teacher", "openai-api"),
    ("anthropic", "own", None, R, "unknown", "teacher", "anthropic-api"),
    ("gemini", "own", None, C, "unknown", "teacher", "gemini-api"),
    ("apache-2.0", "openai", None, C, "unknown", "prompts", "openai-api"),
    ("", "own", None, C, "unknown", "teacher", "(none stated)"),
    ("apache-2.0", "", None, C, "unknown", "prompts", "(none stated)"),
    ("apache-2.0", "own", "", C, "unknown", "base", "(none stated)"),
    ("other", "own", None, C, "unknown", "teacher", "other"),
    ("LicenseRef-Mine", "own", None, C, "unknown", "teacher", "LicenseRef-Mine"),
    ("mrl", "other", None, C, "forbidden", "teacher", "mrl"),
    ("MIT OR GPL-3.0-only", "own", None, C, "allowed", "teacher", "mit (chosen from MIT OR GPL-3.0-only)"),
    ("apache-2.0", "MIT AND CC-BY-NC-4.0", None, C, "forbidden", "prompts", "cc-by-nc (in MIT AND CC-BY-NC-4.0)"),
    ("apache-2.0", "MIT AND no-such", None, C, "unknown", "prompts", "no-such (in MIT AND no-such)"),
    ("apache-2.0", "cc-by-nd-4.0", "cc-by-nd-4.0", R, "forbidden", "base", "cc-by-nd"),
]


@pytest.mark.parametrize(("teacher", "prompts", "base", "use", "decision", "role", "licence"), COMBINATIONS)
def test_each_combination_has_its_decision_and_the_clause_that_decides(
    teacher, prompts, base, use, decision, role, licence
):
    answer = check([teacher], [prompts], base, use)
    assert (answer.decision, answer.clauses[0].role, answer.clauses[0].licence) == (decision, role, licence)
    assert answer.clauses[0].clause
    if decision.startswith("allowed"):
        assert bool(answer.duties) is (decision == "allowed_with_duties")


def test_at_least_forty_combinations_are_tested():
    assert len(COMBINATIONS) >= 40


@pytest.mark.parametrize(
    ("spelling", "licence"),
    [
        ("Apache 2.0", "apache-2.0"),
        ("apache-2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("The MIT License", "mit"),
        ("llama3.1", "llama3.1"),
        ("Llama 3.1 Community License Agreement", "llama3.1"),
        ("Meta Llama 3 Community License", "llama3"),
        ("META LLAMA 3.3", "llama3.3"),
        ("CC BY-NC 4.0", "cc-by-nc"),
        ("Creative Commons Attribution 4.0 International", "cc-by"),
        ("CC0", "public-domain"),
        ("ODC-By v1.0", "odc-by"),
        ("Gemma Terms of Use", "gemma"),
        ("Tongyi Qianwen LICENSE AGREEMENT", "tongyi-qianwen"),
        ("GPL-2.0-or-later", "copyleft-software"),
        ("BSD-3-Clause", "permissive-software"),
    ],
)
def test_any_usual_spelling_finds_its_row(spelling, licence):
    assert find(spelling).id == licence


@pytest.mark.parametrize(
    "text", ["llama", "llama5", "mitt", "AND", "(", "MIT AND", "OR OR", "a" * 10_000, "\ud800", "WITH"]
)
def test_what_no_row_knows_is_unknown_and_never_an_error(text):
    assert check([text], [], None, "research").decision == "unknown"


def test_every_row_is_dated_and_has_a_source():
    assert all(row.source and row.read and row.evidence for row in rows())


def test_every_condition_and_family_is_one_the_check_understands():
    for row in rows():
        assert bool(row.condition) is (row.outputs_may_train == "conditions"), row.id
        assert row.family or row.condition != "same_family", row.id
        assert all(find(other) for other in row.family_also), row.id


def test_duties_are_the_union_of_all_roles():
    duties = check(["llama3.1"], ["cc-by-4.0"], "gemma", "commercial").duties
    for part in ('"Llama"', "CC BY", "Gemma"):
        assert any(part in duty for duty in duties)
    assert len(duties) == len(set(duties))


@pytest.mark.parametrize(("name", "says"), [("Llama-mini", "does)"), ("mini", "rename it"), (None, '"Llama"')])
def test_the_students_name_is_held_against_the_naming_duty(name, says):
    duties = check(["llama3.1"], ["own"], "apache-2.0", "commercial", student_name=name).duties
    assert any(says in duty for duty in duties)


def test_competing_is_a_question_for_a_person():
    assert "compete" in check(["openai"], ["own"], None, "commercial").clauses[0].clause


def test_nothing_named_is_unknown():
    assert check([], [], None, "research").decision == "unknown"


@pytest.mark.parametrize("blocked", ["openai", "mrl", "in-house terms", ""])
def test_an_override_clears_a_licence_and_leaves_its_reason(blocked):
    override = Override(licence=blocked, reason="our agreement of May", author="legal")
    answer = check([blocked], ["own"], None, "commercial", overrides=[override])
    assert answer.decision.startswith("allowed")
    assert "our agreement of May" in answer.clauses[0].clause


def test_an_override_leaves_the_duties_of_the_licence():
    override = Override(licence="Llama 3", reason="asked Meta", author="legal")
    answer = check(["llama3"], ["own"], None, "commercial", overrides=[override])
    assert answer.decision == "allowed_with_duties"
    assert any("Built with Meta Llama 3" in duty for duty in answer.duties)


def test_an_override_clears_no_other_licence():
    override = Override(licence="openai", reason="agreed", author="legal")
    assert check(["mrl"], ["own"], None, "commercial", overrides=[override]).decision == "forbidden"


def test_the_answer_fits_the_manifest():
    override = Override(licence="openai", reason="agreed", author="legal")
    kept = check(["openai", "llama3.1"], ["own"], "mit", "commercial").for_manifest("commercial", [override])
    assert isinstance(kept, Licence)
    assert kept.overrides == [{"licence": "openai", "reason": "agreed", "author": "legal"}]
    assert json.loads(kept.model_dump_json())["clauses"]


# ------------------------------------------------------------------ the filter


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"teacher_license": "llama3.1"}, ""),
        ({"teacher_license": "llama3"}, "licence_forbidden"),
        ({"teacher_license": "mrl"}, "licence_forbidden"),
        ({"license": "cc-by-nc-4.0"}, "licence_forbidden"),
        ({"license": ""}, "licence_unknown"),
        ({"teacher_license": "other"}, "licence_unknown"),
        ({"rewriter": "short", "rewriter_license": "mit"}, ""),
        ({"rewriter": "short", "rewriter_license": "mrl"}, "licence_forbidden"),
        ({"rewriter": "short", "rewriter_license": ""}, "licence_unknown"),
    ],
)
def test_the_filter_rejects_what_may_not_be_used(sample, changes, reason):
    one = sample(**changes)
    assert LicenceFilter().check(one).reason == reason
    assert [verdict.reason for verdict in LicenceFilter().judge([one])] == [reason]


def test_an_unknown_licence_says_what_to_do(sample):
    verdict = LicenceFilter().check(sample(license=""))
    assert "override" in verdict.detail
    assert verdict.evidence["clause"]["role"] == "prompts"
    json.dumps(verdict.evidence)


def test_use_and_base_and_overrides_decide(sample):
    assert LicenceFilter(use="research").check(sample(teacher_license="mrl")).outcome == "keep"
    assert LicenceFilter(base="llama3").check(sample(teacher_license="llama3")).outcome == "keep"
    cleared = LicenceFilter(overrides=(Override(licence="mrl", reason="bought", author="legal"),))
    assert cleared.check(sample(teacher_license="mrl")).outcome == "keep"
