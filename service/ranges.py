"""Byte ranges (RFC 9110, section 14): a download that broke goes on where it stopped, though nothing is kept for it.

What is sent is made on the way, the same bytes each time. A range is cut out of it while it is made once more; its end
is known only from making all of it, so that what is asked for in parts is made twice. One range is understood; whoever
asks for several, or in another unit, gets the whole, as the standard allows.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from fastapi import Response
from fastapi.responses import StreamingResponse

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def ranged(
    make: Callable[[], Iterator[bytes]], headers: Mapping[str, str], kind: str, asked: Mapping[str, str]
) -> Response:
    """Answer with all that `make` yields (200), the range of it that the request's headers ask for (206), or 416.

    `headers` must have the strong `ETag` of these bytes: a range with another `If-Range` gets the whole.
    """
    headers = {**headers, "Accept-Ranges": "bytes"}
    found = _RANGE.fullmatch(asked.get("range", ""))
    if found is None or asked.get("if-range", headers["ETag"]) != headers["ETag"]:
        return StreamingResponse(make(), media_type=kind, headers=headers)
    total = sum(map(len, make()))
    first = int(found[1])
    end = min(int(found[2]) + 1, total) if found[2] else total
    if first >= end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{total}"})
    headers |= {"Content-Range": f"bytes {first}-{end - 1}/{total}", "Content-Length": str(end - first)}
    return StreamingResponse(_cut(make(), first, end), 206, headers, kind)


def _cut(chunks: Iterator[bytes], first: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from `first` up to and without `end`."""
    place = 0
    for chunk in chunks:
        yield chunk[max(0, first - place) : max(0, end - place)]
        place += len(chunk)
        if place >= end:
            return
