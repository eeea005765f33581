"""How a training is started in several processes, and what nobody may say to the launcher."""

import pytest
from pydantic import ValidationError

from service.launching import Launch, command


def test_one_process_is_started_as_it_is() -> None:
    assert command(None) == command({"processes": 1, "options": {}}) == ["-m"]


def test_several_processes_are_accelerates() -> None:
    launched = command({"processes": 2, "options": {}})
    assert (launched[:2], launched[-1]) == (["-m", "accelerate.commands.launch"], "-m")
    assert {"--num_processes=2", "--multi_gpu", "--mixed_precision=no", "--main_process_port=0"} <= set(launched)


def test_a_model_is_spread_as_asked() -> None:
    asked = {"use_fsdp": True, "fsdp_version": 2, "fsdp_offload_params": False, "main_process_port": 29501}
    launched = command({"processes": 8, "options": asked | {"same_network": False}})
    assert {"--use_fsdp", "--fsdp_version=2", "--fsdp_offload_params=false", "--main_process_port=29501"} <= set(
        launched
    )
    assert not {"--multi_gpu", "--same_network", "--main_process_port=0"} & set(launched)


@pytest.mark.parametrize("name", ["no_python", "module", "config_file", "deepspeed_hostfile", "mixed_precision", "-m"])
def test_what_would_run_or_read_something_else_is_not_passed_on(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is not passed on"):
        Launch.model_validate({"processes": 2, "options": {name: "x"}})
