"""Write the OpenAPI file, or check that the kept one is up to date: `python -m service.openapi [--check] FILE`."""

import sys
import tempfile
from pathlib import Path

import orjson

from service.app import create_app
from service.settings import Settings


def document() -> bytes:
    """Return the OpenAPI document of the app as indented JSON."""
    with tempfile.TemporaryDirectory() as folder:
        schema = create_app(Settings(data_dir=Path(folder), database_url="")).openapi()
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    """Write or check the file; exit 1 with what to do when it is out of date."""
    path = Path(sys.argv[-1])
    if "--check" not in sys.argv:
        path.write_bytes(document())
    elif not path.exists() or path.read_bytes() != document():
        sys.exit(f"{path} does not match the routes: run `make openapi` and commit it")


if __name__ == "__main__":
    main()
