"""Every secret here is made up, and put together so that no scanner takes this file for a leak."""

import json

import pytest

from filters.pii import Pii

AWS = "AKIA" + "QZ7RTNWX2MVB4KLP"
GITHUB = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow"


def judged(sample, response, **knobs):
    return Pii(**knobs).check(sample(response=response))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"use {AWS} here", "secret"),
        (f"token = '{GITHUB}'", "secret"),
        (f"Bearer {JWT}", "secret"),
        (KEY, "secret"),
        ("write to jane.doe@" + "somefirm.de today", "email"),
        ("write to jane@example.com or a@b.test", ""),
        ("pay to DE89 3704 0044 0532 0130 00 now", "iban"),
        ("pay to DE88 3704 0044 0532 0130 00 now", ""),
        ("card 4111 1111 1111 1111, please", "card"),
        ("card 4111 1111 1111 1112, please", ""),
        ("call +49 30 901820 soon", "phone"),
        ("call 555 0123 soon", ""),
        ("12345678901234567890 and 3.14159265358979323846", ""),
        ("x = y@z", ""),
        ("git clone git@somehost.com:a/b.git", ""),
        ("postgresql://user:password@localhost/db", ""),
        ("postgresql://user:" + "hunter22@db.somefirm.de/db", "secret"),
        ("token " + "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3h", "secret"),
    ],
)
def test_what_has_a_form_that_can_be_checked_is_found(sample, text, reason):
    assert judged(sample, text).reason == reason


@pytest.mark.parametrize("secret", [AWS, GITHUB, JWT, "jane.doe@" + "somefirm.de", "4111 1111 1111 1111"])
def test_the_verdict_never_holds_the_match_itself(sample, secret):
    verdict = judged(sample, f"here: {secret} there")
    said = verdict.detail + json.dumps(verdict.evidence)
    assert verdict.outcome == "reject"
    assert secret not in said
    assert secret[5:15] not in said
    assert verdict.evidence["found"][0]["in"] == "response"


def test_only_what_is_asked_for_is_sought(sample):
    assert judged(sample, f"{AWS} jane@somefirm.de", find=("email",)).reason == "email"


def test_a_secret_deep_in_a_text_is_found_where_it_is(sample):
    (found,) = judged(sample, "word " * 3000 + AWS).evidence["found"]
    assert found["at"] == 15000


def test_a_secret_is_found_wherever_the_pieces_of_a_text_are_cut(sample):
    for before in range(880, 1010, 7):
        assert judged(sample, "x " * (before // 2) + f"{AWS} and {GITHUB} and {JWT}").reason == "secret"


def test_every_pattern_is_tried_in_one_pass():
    from filters.pii import _sieve

    assert _sieve()[2] == set(), "RE2 takes no longer every pattern of detect-secrets: those are tried one by one"


@pytest.mark.parametrize("unit", ["{", "7", "eyJ", "a@", "://a:", "1 ", "+1", "AB12 ", "-----BEGIN "])
def test_a_megabyte_of_anything_is_judged(sample, unit):
    text = unit * (1_000_000 // len(unit))
    assert judged(sample, text).outcome in ("keep", "reject")
