"""Reading event streams."""

import pytest

from service.connection import Event, RetortError, describe, parse_events, text_lines


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b'id: 3\nevent: run.event\ndata: {"loss": 1}\n\n', [Event(3, "run.event", {"loss": 1})]),
        (b"id: 3\r\nevent: a\r\ndata: {}\r\n\r\n", [Event(3, "a", {})]),
        (b": ping\n\n: ping\n\n", []),
        (b'id:4\ndata:{"a":\ndata:2}\n\n', [Event(4, "message", {"a": 2})]),
        (b"id: 5\nevent: cut off\ndata: {}\n", []),
        (b"data: plain\n\n", [Event(0, "message", {"value": "plain"})]),
        ('id: 6\nevent: a\ndata: {"text": "one\u2028line"}\n\n'.encode(), [Event(6, "a", {"text": "one\u2028line"})]),
    ],
)
def test_a_stream_gives_its_whole_events(stream: bytes, events: list[Event]) -> None:
    assert list(parse_events(text_lines([stream]))) == events


def test_chunks_may_end_anywhere() -> None:
    stream = 'id: 1\nevent: a\ndata: {"text": "größer"}\n\nid: 2\nevent: b\ndata: {}\n\n'.encode()
    for size in (1, 2, 7):
        chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert [event.id for event in parse_events(text_lines(chunks))] == [1, 2]


def test_an_event_without_id_resumes_after_the_one_before() -> None:
    stream = b"id: 8\ndata: {}\n\ndata: {}\n\n"
    assert [event.id for event in parse_events(text_lines([stream]))] == [8, 8]


def test_errors_name_line_and_field() -> None:
    assert describe({"line": 3, "field": "id", "message": "twice"}) == "  line 3, id: twice"
    assert describe({"field": "n", "message": "too small"}) == "  n: too small"
    assert describe({"message": "no"}) == "  no"


def test_an_error_says_how_many_more_there_are() -> None:
    error = RetortError(422, "refused", "", [{"line": 1, "message": "a"}], errors_total=5)
    assert str(error) == "refused\n  line 1: a\n  … and 4 more"
