"""Files from a person: recipes and configurations."""

import json
from pathlib import Path
from typing import Any

from service.cli.terminal import Refused


def read_object(path: Path) -> dict[str, Any]:
    """Return the object that a `.json` or `.toml` file holds."""
    try:
        if path.suffix == ".toml":
            import tomllib

            value = tomllib.loads(path.read_text())
        elif path.suffix == ".json":
            value = json.loads(path.read_bytes())
        else:
            raise Refused(f"{path}: expected a .json or .toml file")
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not valid {path.suffix[1:].upper()}: {error}") from error
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
    if not isinstance(value, dict):
        raise Refused(f"{path}: expected an object, found {type(value).__name__}")
    return value
