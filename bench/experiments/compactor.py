"""A teacher that shortens reasoning by rule, behind the door of an OpenAI-compatible server.

The tiny teacher can do nothing but word problems, so nobody here can be asked to write a reasoning anew; the way that
`retort rewrite --compact` takes through the service is the same.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
REASONING = re.compile(r"<reasoning>\n(.*)\n</reasoning>", re.DOTALL)


def compact(reasoning: str) -> str:
    """Return one equation for each step; the working by tens and units, and words, are left out.

    >>> compact("Well, 7*30=210, 7*4=28, 210+28=238. Then 238+87=325.")
    '7*34=238. 238+87=325.'
    >>> compact("7*30=210 and 238-210=28 and 28/7=4 and 30+4=34.")
    '238/7=34.'
    """
    steps = (EQUATION.findall(sentence) for sentence in reasoning.split("."))
    return " ".join(f"{_step(equations)}." for equations in steps if equations)


def _step(equations: list[tuple[str, str, str, str]]) -> str:
    """Return a step worked in several equations as the one that they work out."""
    result = equations[-1][3]
    operators = [operator for _, operator, _, _ in equations]
    if "/" in operators:
        dividend = next(left for left, operator, _, _ in equations if operator in "-/")
        divisor = next(right for _, operator, right, _ in equations if operator == "/")
        return f"{dividend}/{divisor}={result}"
    if operators[0] == "*":
        parts = [int(right) for _, operator, right, _ in equations if operator == "*"]
        return f"{equations[0][0]}*{sum(parts)}={result}"
    return ", ".join("".join([left, operator, right, "=", found]) for left, operator, right, found in equations)


@contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port of this machine while the context lasts; yields the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "rule", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = REASONING.search(asked["messages"][-1]["content"])
        message = {"role": "assistant", "content": compact(found.group(1)) if found else ""}
        self._send(
            {
                "id": "rule",
                "object": "chat.completion",
                "model": "rule",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            }
        )

    def _send(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line a request tells nobody anything."""
