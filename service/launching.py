"""How a training is started in several processes: what may be said to `accelerate launch`, which starts them."""

import re
from typing import Any

from pydantic import Field, PositiveInt, field_validator

from service.api.shapes.base import Asked

PASSED_ON = re.compile(
    r"num_machines|machine_rank|main_process_ip|main_process_port|same_network|rdzv_(backend|conf)|max_restarts|gpu_ids"
    r"|num_cpu_threads_per_process|enable_cpu_affinity|use_fsdp|fsdp_\w+|use_deepspeed|zero_stage|zero3_\w+"
    r"|offload_(optimizer|param)_device|gradient_clipping|use_parallelism_config|parallelism_config_\w+"
)
"""Options of `accelerate launch` that say where processes run and how a model is spread over them. Those that name
programs and files to run or read, other hosts to log in to, or a precision beside the training's own are not among
them: whoever may order a training may not run what they like on the worker."""

FLAGS = {"multi_gpu", "same_network", "enable_cpu_affinity", "use_fsdp", "use_deepspeed", "use_parallelism_config"}
"""Options that take no value."""


class Launch(Asked):
    """Several processes for one training, started by `accelerate launch`."""

    processes: PositiveInt = Field(default=1, le=1024)
    """In all, over all machines; on one machine usually one for each GPU."""
    options: dict[str, bool | int | float | str] = Field(default={}, max_length=64)
    """Further options by their names there, such as `{"use_fsdp": true, "fsdp_version": 2}`."""

    @field_validator("options")
    @classmethod
    def _known(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if not PASSED_ON.fullmatch(name):
                raise ValueError(f"'{name}' is not passed on to accelerate: take {PASSED_ON.pattern}")
        return options


def command(launch: dict[str, Any] | None) -> list[str]:
    """Return what Python is given before `trainer …`: `-m` alone for a single process."""
    asked = Launch.model_validate(launch or {})
    options = dict(asked.options)
    if asked.processes == 1 and not options:
        return ["-m"]
    if not options.keys() & {"use_fsdp", "use_deepspeed"}:
        options["multi_gpu"] = True  # its word for plain data parallelism under torchrun, on CPUs as well
    if not options.keys() & {"num_machines", "main_process_port"}:
        options["main_process_port"] = 0  # any free one: another training may be at work here
    # The training's own settings say how it computes.
    fixed = {"num_processes": asked.processes, "mixed_precision": "no", "dynamo_backend": "no"}
    given = [text for option in (fixed | options).items() for text in _option(*option)]
    return ["-m", "accelerate.commands.launch", *given, "-m"]


def _option(name: str, value: bool | int | float | str) -> list[str]:
    if name in FLAGS:
        return [f"--{name}"] if value else []
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}"]
