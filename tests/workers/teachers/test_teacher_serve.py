"""How a model is served: the right engine, flags and parser, and a clear no where it cannot be."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError

import pytest

from workers.teachers.register import register_command
from workers.teachers.serve import command, guard
from workers.teachers.serve.command import GIB, Engine, Request, build, detect, kv_cache_gib
from workers.teachers.serve.model import Model, ServeError, find, reasoning_parser
from workers.teachers.serve.process import Server
from workers.teachers.serve.progress import PHASES, phase_in

QWEN3 = "{% if add_generation_prompt %}...{% if enable_thinking is false %}<think>\n\n</think>{% endif %}{% endif %}"
OPENED = "{% if add_generation_prompt %}{{ '<think>\n' }}{% endif %}"
HISTORY = "{% set c = c.split('</think>')[-1] %}{% if add_generation_prompt %}<|Assistant|>{% endif %}"


@pytest.fixture
def folder(tmp_path):
    """A model folder as far as anything but an engine looks at it."""
    made = tmp_path / "tiny"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"model_type": "qwen3", "max_position_embeddings": 512}))
    (made / "chat_template.jinja").write_text(QWEN3)
    (made / "model.safetensors").write_bytes(bytes(1000))
    return made


def test_a_folder_tells_name_context_size_and_parser(folder):
    model = find(str(folder))
    assert (model.path, model.name, model.local) == (str(folder), "tiny", True)
    assert (model.context_tokens, model.weights_bytes) == (512, 1000)
    assert reasoning_parser(model) == "qwen3"


def test_a_hub_name_is_taken_as_it_is():
    model = find("Qwen/Qwen3-4B-not-in-any-cache")
    assert (model.path, model.name, model.local) == (
        "Qwen/Qwen3-4B-not-in-any-cache",
        "Qwen3-4B-not-in-any-cache",
        False,
    )
    assert reasoning_parser(model) == "qwen3"


@pytest.mark.parametrize("given", ["./missing", "/missing/model", "a/b/c", "missing", ""])
def test_a_missing_folder_is_refused(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServeError, match=r"no model folder|no config\.json"):
        find(given)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_config_or_safe_weights_is_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ServeError, match=r"config\.json|safetensors"):
        find(str(folder))


@pytest.mark.parametrize(
    ("model_type", "template", "parser"),
    [
        ("qwen3", QWEN3, "qwen3"),
        ("qwen3_moe", OPENED, "deepseek_r1"),
        ("qwen3", HISTORY, None),
        ("qwen2", HISTORY, "deepseek_r1"),
        ("deepseek_v3", OPENED, "deepseek_r1"),
        ("gpt_oss", "", "openai_gptoss"),
        ("glm4_moe", QWEN3, "glm45"),
        ("llama", "{% if add_generation_prompt %}assistant{% endif %}", None),
        ("", "", None),
    ],
)
def test_the_parser_follows_the_family_and_its_template(model_type, template, parser):
    assert reasoning_parser(Model("m", "m", True, {"model_type": model_type}, template)) == parser


def request(model: Model | None = None, **changes) -> Request:
    small = Model("/models/tiny", "tiny", True, {}, "", 1000)
    fields = {"name": "tiny", "host": "127.0.0.1", "port": 8911, "reasoning_parser": "qwen3", **changes}
    return Request(model or small, **fields)


def flags(argv: list[str]) -> dict[str, str]:
    """Return each --flag with what follows it."""
    return {flag: value for flag, value in zip(argv, [*argv[1:], ""], strict=True) if flag.startswith("--")}


def test_on_a_gpu_the_engine_keeps_its_own_defaults():
    argv, env = build(Engine.GPU, request(max_model_len=4096), {"PATH": "/bin"})
    assert argv[:5] == [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", "/models/tiny"]
    assert flags(argv) == {
        "--served-model-name": "tiny",
        "--host": "127.0.0.1",
        "--port": "8911",
        "--load-format": "safetensors",
        "--max-logprobs": "256",
        "--uvicorn-log-level": "warning",
        "--max-model-len": "4096",
        "--reasoning-parser": "qwen3",
    }
    assert not [name for name in env if "CPU" in name or "OMP" in name]


def test_on_a_cpu_it_is_told_what_it_would_get_wrong():
    argv, env = build(Engine.CPU, request(), {"PATH": "/bin"})
    assert argv[1:5] == ["-m", "vllm.entrypoints.openai.api_server", "--model", "/models/tiny"]
    assert "--enforce-eager" in argv
    assert flags(argv)["--dtype"] == "float32"
    assert "--max-model-len" not in argv
    assert env["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert 1 <= int(env["OMP_NUM_THREADS"]) <= (os.cpu_count() or 1)
    assert env["HF_HUB_OFFLINE"] == "1"


def test_a_large_model_keeps_its_own_precision_and_a_hub_model_its_hub():
    large = Model("owner/large", "large", False, {}, "", 8 * GIB)
    argv, env = build(Engine.CPU, request(large), {})
    assert "--dtype" not in argv
    assert "HF_HUB_OFFLINE" not in env


def test_fewer_bits_are_computed_with_in_the_precision_that_the_engine_has_a_kernel_for():
    fewer = Model(
        "/models/int4", "int4", True, {"quantization_config": {"quant_method": "compressed-tensors"}}, "", 1000
    )
    assert flags(build(Engine.CPU, request(fewer), {})[0])["--dtype"] == "bfloat16"


def test_what_the_person_set_wins():
    argv, env = build(Engine.CPU, request(extra=("--dtype", "bfloat16")), {"OMP_NUM_THREADS": "7"})
    assert argv[-2:] == ["--dtype", "bfloat16"]
    assert env["OMP_NUM_THREADS"] == "7"


def test_the_key_goes_by_environment_and_not_by_argument():
    argv, env = build(Engine.GPU, request(api_key_env="KEY"), {"KEY": "sk-secret"})
    assert env["VLLM_API_KEY"] == "sk-secret"
    assert "sk-secret" not in " ".join(argv)


def test_the_kv_cache_holds_eight_long_sequences_within_bounds():
    config = {"num_hidden_layers": 36, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 4096}
    # 2 x 36 x 8 x 128 x 4 bytes a token, 8 x 4096 tokens: 9 GiB.
    assert kv_cache_gib(request(Model("m", "m", True, config))) == 9
    assert kv_cache_gib(request(Model("m", "m", True, {**config, "max_position_embeddings": 262_144}))) == 16
    assert kv_cache_gib(request(Model("m", "m", True, {}))) == 1


def test_without_vllm_transformers_serves_and_knows_no_key():
    argv, _ = build(Engine.TRANSFORMERS, request(), {})
    assert argv[1:] == ["serve", "/models/tiny", "--host", "127.0.0.1", "--port", "8911"]
    with pytest.raises(ServeError, match="no API key"):
        build(Engine.TRANSFORMERS, request(api_key_env="KEY"), {"KEY": "sk-secret"})


@pytest.mark.parametrize(
    ("installed", "engine"),
    [
        ({"vllm-cpu": "0.32.0", "transformers": "5.0"}, Engine.CPU),
        ({"vllm": "0.32.0", "transformers": "5.0"}, Engine.GPU),
        ({"vllm": "0.32.0+cpu"}, Engine.CPU),
        ({"transformers": "5.0"}, Engine.TRANSFORMERS),
    ],
)
def test_the_engine_is_the_one_that_is_installed(monkeypatch, installed, engine):
    def version(name):
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(command, "version", version)
    assert detect() == engine
    installed.clear()
    with pytest.raises(ServeError, match="pip install vllm"):
        detect()


@pytest.mark.parametrize(
    ("served", "name"),
    [("teacher", "teacher"), ("Qwen3-4B", "qwen3-4b"), ("_a b/c", "a-b-c"), ("模型", "teacher"), ("x" * 80, "x" * 64)],
)
def test_the_name_it_proposes_is_one_that_registering_accepts(served, name):
    line = register_command(served, "http://127.0.0.1:8000/v1", served, "KEY")
    assert line.split()[:4] == ["retort", "teacher", "add", name]
    assert "--api-key-env KEY" in line
    assert "--tokenizer" not in line
    assert "--tokenizer '/a b'" in register_command(served, "http://127.0.0.1:8000/v1", served, tokenizer="/a b")


def test_phases_follow_the_engines_log():
    steps = [
        ("INFO [model.py] Resolved architecture: Qwen3ForCausalLM\nWARNING disabling torch.compile", 1),
        ("(EngineCore pid=1) INFO [core.py:133] Initializing a V1 LLM engine (v0.32.0)", 2),
        ("(Worker pid=2) INFO Starting to load model /m...", 3),
        ("nothing new", 3),
        ("INFO CPU KV cache size: 1,048,576 tokens", 5),
        ("Loading safetensors checkpoint shards: 100%", 5),
        ("INFO [entry.py:140] Starting vLLM server on http://127.0.0.1:8911", len(PHASES) - 1),
    ]
    phase = 0
    for output, expected in steps:
        phase = phase_in(output, phase)
        assert phase == expected


def serve(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "workers.teachers.serve", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **env})


def test_a_port_in_use_is_refused_before_anything_starts(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve(str(folder), "--port", str(port))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr


def test_a_missing_model_or_key_ends_with_a_sentence(folder):
    for arguments in [("./missing",), (str(folder), "--api-key-env", "NO_SUCH_VARIABLE")]:
        ended = serve(*arguments)
        assert ended.returncode == 2
        assert ended.stderr.startswith("error: ")
        assert "Traceback" not in ended.stderr


def fake_engine(port: int, *options: str) -> list[str]:
    """A command that serves /health and chat completions on the port: the fake teacher in the engine's place."""
    return [sys.executable, "-m", "workers.teachers.fake", "--model", "tiny", "--port", str(port), *options]


def test_an_engine_is_waited_for_asked_once_and_ended(free_port, tmp_path):
    server = Server(fake_engine(free_port), os.environ, "0.0.0.0", free_port, tmp_path / "log")  # noqa: S104
    output: list[str] = []
    server.start()
    try:
        server.wait_ready(60, output.append)
        server.first_answer("tiny", "sk-unused")
        assert guard.descendants(server.pid)
    finally:
        assert server.stop() == set()
    assert "ready" in server.tail()
    assert guard.descendants(server.pid) == set()


@pytest.mark.parametrize("scenario", ["server_error", "dropped"])
def test_an_engine_that_breaks_at_its_first_request_is_not_called_ready(free_port, tmp_path, scenario):
    command = fake_engine(free_port, "--scenario", scenario)
    server = Server(command, os.environ, "127.0.0.1", free_port, tmp_path / "log")
    server.start()
    try:
        server.wait_ready(60, lambda output: None)
        with pytest.raises(ServeError, match="first request"):
            server.first_answer("tiny", None)
    finally:
        assert server.stop() == set()


@pytest.mark.parametrize(
    ("code", "timeout_s", "message"),
    [
        ("print('no such model'); raise SystemExit(3)", 60, "ended before it was ready"),
        ("print('no such model', flush=True); import time; time.sleep(600)", 1, "not ready after 1 s"),
    ],
)
def test_an_engine_that_is_never_ready_leaves_its_log_and_nothing_else(free_port, tmp_path, code, timeout_s, message):
    server = Server([sys.executable, "-c", code], os.environ, "127.0.0.1", free_port, tmp_path / "log")
    server.start()
    try:
        with pytest.raises(ServeError, match=message):
            server.wait_ready(timeout_s, lambda output: None)
    finally:
        assert server.stop() == set()
    assert server.tail(1) == "no such model"


def test_one_that_was_killed_with_its_guard_is_ended_all_the_same(free_port, tmp_path):
    server = Server(["sleep", "1000"], os.environ, "127.0.0.1", free_port, tmp_path / "log")
    server.start()
    while not (pids := guard.descendants(server.pid)):
        time.sleep(0.05)
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    assert server.stop() == set()
    assert not pids & {each.pid for each in guard.processes()}
