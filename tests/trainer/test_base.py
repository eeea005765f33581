"""A base is weights and nothing that runs."""

import json
import shutil
from pathlib import Path

import pytest

from trainer.base import count_parameters, find_base, load_tokenizer
from trainer.errors import TrainerError


@pytest.fixture
def copy(student: Path, tmp_path: Path) -> Path:
    return shutil.copytree(student, tmp_path / "base")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def refused(name: str) -> TrainerError:
    with pytest.raises(TrainerError) as error:
        find_base(name, None)
    return error.value


def test_a_folder_of_safetensors_is_taken(student: Path) -> None:
    from safetensors.torch import load_file

    base = find_base(str(student), None)
    assert (base.path, base.commit, base.hub_id, base.positions_max) == (student, None, None, 512)
    assert count_parameters(base) == sum(tensor.numel() for tensor in load_file(student / "model.safetensors").values())


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert refused(str(copy)).reason == "pickle_weights"
    assert "pytorch_model.bin" in str(refused(str(copy)))


def test_a_pickle_beside_safetensors_is_never_opened(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"not a pickle at all")
    assert find_base(str(copy), None).path == copy


def test_a_model_with_code_of_its_own_is_refused(copy: Path) -> None:
    edit_config(copy, model_type="homemade", auto_map={"AutoModelForCausalLM": "modeling.Homemade"})
    assert refused(str(copy)).reason == "remote_code"
    assert "auto_map" in str(refused(str(copy)))


def test_code_that_is_not_needed_is_no_reason_to_refuse(copy: Path) -> None:
    edit_config(copy, auto_map={"AutoModelForCausalLM": "modeling.Homemade"})
    assert find_base(str(copy), None).path == copy


@pytest.mark.parametrize("name", ["/no/such/folder", "./gone", "a/b/c"])
def test_what_is_no_folder_and_no_hub_id_is_refused(name: str) -> None:
    assert refused(name).reason == "student_not_found"


def test_a_hub_id_that_cannot_be_fetched_is_refused() -> None:
    assert refused("nobody/nothing").reason == "student_not_found"


def test_a_folder_without_weights_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert refused(str(copy)).reason == "student_unreadable"


def test_a_base_without_chat_template_needs_one(copy: Path, tmp_path: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(TrainerError, match="has no chat template"):
        load_tokenizer(copy)
    given = tmp_path / "given.jinja"
    given.write_text("{{ messages[0].content }}")
    assert load_tokenizer(copy, chat_template=str(given)).chat_template == "{{ messages[0].content }}"


def test_an_eos_token_must_be_known(copy: Path) -> None:
    assert load_tokenizer(copy, eos_token="<|endoftext|>").eos_token == "<|endoftext|>"
    with pytest.raises(TrainerError, match="vocabulary"):
        load_tokenizer(copy, eos_token="<|nowhere|>")
