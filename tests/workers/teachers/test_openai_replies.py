"""What a good reply means: reasoning and response, tokens counted, nothing of it lost."""

import orjson
import pytest

from service.teachers.reasoning import Note


@pytest.mark.parametrize("era", ["reasoning", "reasoning_content", "both", "inline", "closing_tag"])
def test_every_era_arrives_as_reasoning_and_response(fake, ask, era):
    fake.play({"era": era, "answers": [{"match": "", "reasoning": "2 + 3 = 5", "responses": ["Five.", "5."]}]})
    completions = ask(n=2)
    assert [each.reasoning for each in completions] == ["2 + 3 = 5"] * 2
    assert [each.response for each in completions] == ["Five.", "5."]
    assert [each.note for each in completions] == ["", ""]


@pytest.mark.parametrize(
    ("scenario", "note", "response"),
    [
        ("half_open_tag", Note.HALF_OPEN, ""),
        ("all_in_reasoning", Note.REASONING_ONLY, ""),
        ("lost_reasoning", Note.LOST_REASONING, "Answer"),
        ("only_closing_tag", Note.NONE, "Answer"),
    ],
)
def test_mangled_reasoning_is_kept_and_noted(fake, ask, scenario, note, response):
    fake.play(scenario)
    (completion,) = ask()
    assert completion.note == note
    assert completion.response.startswith(response)
    assert bool(completion.response) is bool(response)
    assert bool(completion.reasoning) is (scenario != "lost_reasoning")


def test_with_thinking_off_there_is_no_alarm(fake, ask):
    (completion,) = ask(sampling={"chat_template_kwargs": {"enable_thinking": False}})
    assert (completion.reasoning, completion.note) == ("", "")


@pytest.mark.parametrize(("scenario", "count"), [("fewer_choices", 2), ("more_choices", 3), ("wrong_id", 3)])
def test_a_wrong_number_of_choices_gives_what_came_and_never_more(fake, ask, scenario, count):
    fake.play(scenario)
    completions = ask(n=3)
    assert len(completions) == count
    assert len({each.response for each in completions}) == count
    assert completions[0].model == ("another-model" if scenario == "wrong_id" else "fake")


def test_a_choice_too_many_does_not_count_as_ours(fake, ask):
    fake.play("more_choices")
    (completion,) = ask()
    assert completion.completion_tokens is None
    (completion,) = ask(sampling={"logprobs": True})
    assert completion.completion_tokens == len(f"{completion.reasoning} {completion.response}".split())


def test_one_choice_is_counted_exactly(ask):
    (completion,) = ask()
    assert completion.completion_tokens == len(f"{completion.reasoning} {completion.response}".split())
    assert completion.reasoning_tokens == len(completion.reasoning.split())
    assert completion.prompt_tokens == 5
    assert completion.latency_ms >= 0


@pytest.mark.parametrize(
    ("options", "sampling", "known"),
    [({}, {}, False), ({"token_ids": True}, {}, True), ({}, {"logprobs": True}, True)],
    ids=["neither", "token ids", "logprobs"],
)
def test_several_choices_are_counted_where_the_server_lists_their_tokens(ask, options, sampling, known):
    for completion in ask(n=2, sampling={"max_tokens": 20, **sampling}, **options):
        assert completion.completion_tokens == (20 if known else None)
        assert completion.reasoning_tokens is None
        assert "token_ids" not in orjson.loads(completion.raw)


def test_the_raw_choice_and_its_logprobs_are_kept(ask):
    (completion,) = ask(sampling={"top_logprobs": 3, "return_token_ids": True})
    raw = orjson.loads(completion.raw)
    assert raw["message"]["reasoning"] == f"\n{completion.reasoning}\n"
    assert raw["finish_reason"] == completion.finish_reason == "stop"
    assert raw["logprobs"] == completion.logprobs
    assert completion.logprobs is not None
    assert [len(each["top_logprobs"]) for each in completion.logprobs["content"]] == [3] * completion.completion_tokens
    assert len(raw["token_ids"]) == completion.completion_tokens


def test_a_reply_cut_inside_the_reasoning_has_no_response(ask):
    (completion,) = ask(sampling={"max_tokens": 6})
    assert (completion.finish_reason, completion.response) == ("length", "")
    assert len(completion.reasoning.split()) == completion.completion_tokens == 6
