"""Asking a teacher how it is."""

import os
import time
from typing import Any

import httpx

from service.errors import nearest
from service.models import Teacher

TIMEOUT_S = 5.0


def probe(teacher: Teacher) -> dict[str, Any]:
    """Return `{name, ok, reason, detail, models, max_model_len, latency_ms, servers}` from the teacher's `/models`.

    A teacher with several servers is there as soon as one of them is; `servers` says by address what is wrong with
    each, nothing where all is well, and `detail` names those that are not there.
    """
    addresses = dict.fromkeys([teacher.base_url, *teacher.replicas])
    looks = {each: _look(teacher.name, each, teacher.model, teacher.api_key_env) for each in addresses}
    best = next((found for found in looks.values() if found["ok"]), looks[teacher.base_url])
    away = [f"{address}: {found['detail']}" for address, found in looks.items() if not found["ok"]]
    detail = (
        f"{len(away)} of {len(looks)} servers are not ready: {'; '.join(away)}" if len(looks) > 1 and away else None
    )
    servers = {address: found["reason"] for address, found in looks.items()}
    return best | {"servers": servers, "detail": detail or best["detail"]}


def _look(name: str, base_url: str, model: str, api_key_env: str | None) -> dict[str, Any]:
    headers = {}
    if api_key_env:
        key = os.environ.get(api_key_env)
        if key is None:
            return _down(name, "no_key", f"the environment variable {api_key_env} is not set where the API runs")
        headers["Authorization"] = f"Bearer {key}"
    start = time.perf_counter()
    try:
        answer = httpx.get(f"{base_url}/models", headers=headers, timeout=TIMEOUT_S)
    except httpx.ConnectError as error:
        return _down(name, "connection_refused", f"nothing answers at {base_url} ({error}); is the server running?")
    except httpx.TimeoutException:
        return _down(name, "timeout", f"{base_url} did not answer within {TIMEOUT_S:g} s")
    except httpx.HTTPError as error:
        return _down(name, "connection_lost", f"{base_url}: {error}")
    latency_ms = round((time.perf_counter() - start) * 1000)
    if answer.status_code != 200:
        reason = "unauthorized" if answer.status_code in {401, 403} else "wrong_status"
        return _down(name, reason, f"{base_url}/models answered {answer.status_code}")
    return _read(name, model, answer, latency_ms)


def _read(name: str, model: str, answer: httpx.Response, latency_ms: int) -> dict[str, Any]:
    try:
        served = {str(entry["id"]): entry for entry in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return _down(name, "wrong_shape", f"{answer.url} does not answer like an OpenAI server")
    found = {"name": name, "models": sorted(served), "latency_ms": latency_ms}
    if model not in served:
        detail = f"the server is up but does not serve '{model}'{nearest(model, served)}"
        return found | {"ok": False, "reason": "unknown_model", "detail": detail}
    return found | {"ok": True, "reason": "", "detail": "", "max_model_len": served[model].get("max_model_len")}


def _down(name: str, reason: str, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": False, "reason": reason, "detail": detail}
