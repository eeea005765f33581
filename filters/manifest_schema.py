"""Write or check the JSON Schema of `manifest.json`: `python -m filters.manifest_schema [--check] FILE`."""

import json
import sys
from pathlib import Path

from filters.manifest import Manifest


def document() -> str:
    """Return the schema as indented JSON."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write or check the file; exit 1 with what to do when it is out of date."""
    path = Path(sys.argv[-1])
    if "--check" not in sys.argv:
        path.write_text(document(), encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != document():
        sys.exit(f"{path} does not match filters/manifest.py: run `make openapi` and commit it")


if __name__ == "__main__":
    main()
