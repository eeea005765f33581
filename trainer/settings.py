"""Reading a run's settings: a JSON or YAML file, then `--set`, then the command's own options."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from trainer.config import Training
from trainer.errors import TrainerError
from trainer.methods import METHODS


def read_settings(
    method: str, settings: dict[str, Any], changes: Iterable[str] = (), student: str | None = None
) -> Training:
    """Return the checked settings of a run by this method.

    `changes` are `KNOB=VALUE`, nested as `lora.rank=8`, the value in YAML. Raises TrainerError: `other_method`,
    `unknown_knob`, `invalid_knob`.
    """
    other = settings.pop("method", method)
    if other != method:
        raise TrainerError("other_method", f"the settings are for the method {other}, this command is {method}")
    for change in changes:
        _change(settings, change)
    if student is not None:
        settings["student"] = student
    try:
        return METHODS[method].config.model_validate(settings)
    except ValidationError as error:
        raise _explained(method, error) from None


def read_file(file: Path) -> dict[str, Any]:
    """Return the settings in a JSON or YAML file. Raises TrainerError `config_unreadable`."""
    import yaml

    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML, too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainerError("config_unreadable", f"{file} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise TrainerError("config_unreadable", f"{file} must hold settings by name, such as `epochs: 3`")
    return settings


def _change(settings: dict[str, Any], change: str) -> None:
    import yaml

    knob, sign, value = change.partition("=")
    if not sign:
        raise TrainerError("invalid_knob", f"--set {change}: write KNOB=VALUE")
    *outer, name = knob.strip().split(".")
    for key in outer:
        if not isinstance(settings.get(key), dict):
            settings[key] = {}
        settings = settings[key]
    try:
        settings[name] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise TrainerError("invalid_knob", f"--set {change}: {error}") from error


def _explained(method: str, error: ValidationError) -> TrainerError:
    problem: Any = error.errors()[0]
    known = list(_knobs(METHODS[method].config))
    path = [str(part) for part in problem["loc"]]
    knob = ".".join(path[:2] if ".".join(path[:2]) in known else path)
    if problem["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(knob, known, n=1, cutoff=0)[0]
        return TrainerError("unknown_knob", f"{knob} is not a setting of {method}; did you mean {nearest}?")
    if problem["type"] == "missing" and knob == "student":
        return TrainerError("invalid_knob", "no student is named: give --student a folder or a hub id")
    same = [other["msg"] for other in error.errors() if other["loc"][0] == problem["loc"][0]]
    return TrainerError("invalid_knob", f"{path[0] if len(same) > 1 else knob}: {', or '.join(same)}")


def _knobs(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _knobs(kind, f"{prefix}{name}.")
