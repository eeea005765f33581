"""The pictures of the documentation, taken in Chromium from the small service that the tests fill.

`python -m docs.screenshots [PAGE …]` writes `docs/images/*.png` anew; the service runs on a free port of 127.0.0.1 for
as long as it takes.
"""

import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from sqlmodel import select

from service.app import create_app
from service.models import Batch, DatasetVersion, Failure, Prompt, Review, Run, Trace, VerdictRow
from service.settings import Settings
from service.store.database import Database
from tests.service.pages.ids import ASKING, TRAINED, TRAINING
from tests.service.pages.library import fill
from tests.service.pages.report import HOSTILE

IMAGES = Path(__file__).parent / "images"
WIDE, PHONE = (1240, 860), (390, 844)
BYTES_MAX = 150_000
RECIPE = "/recipes?begun=1&" + "&".join(
    [
        *("f0.kind=licence", "f1.kind=length", "f1.tokens_min=200"),
        *("f2.kind=near_duplicate", "f2.on=trace", "f2.threshold=0.7", "f2.across_prompts_only=false"),
    ]
)
WISH = "/runs/new?dataset=arithmetic@1&student=Qwen/Qwen3-0.6B&method=soft_label&knobs=temperature%3D2%0Aepochs%3D3"
PAGES: dict[str, tuple[str, str, tuple[int, int]]] = {
    "overview": ("/", "light", WIDE),
    "overview-phone": ("/", "dark", PHONE),
    "batch": (f"/batches/{ASKING}", "light", WIDE),
    "traces": ("/traces?reason=near_duplicate", "light", WIDE),
    "trace": ("/traces/18#verdicts", "dark", WIDE),
    "recipe": (RECIPE, "light", WIDE),
    "recipe-phone": (RECIPE, "dark", PHONE),
    "dataset": ("/datasets/arithmetic/1", "light", WIDE),
    "diff": ("/datasets/arithmetic/diff?from=loose@1&to=1&change=removed", "light", WIDE),
    "run": (f"/runs/{TRAINED}", "light", WIDE),
    "training": (f"/runs/{TRAINING}", "dark", WIDE),
    "train": (WISH, "light", WIDE),
    "licences": ("/licences?teacher=llama3.1&prompts=cc-by-sa-4.0&base=llama3.1&use=commercial", "light", WIDE),
    "settings": ("/settings", "light", WIDE),
    "audit": ("/audit", "dark", WIDE),
    "docs": ("/docs", "light", WIDE),
}
"""Picture: address, theme and size of the window."""


def main(names: list[str]) -> None:
    """Take the pictures of these names, of all where none is given."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    IMAGES.mkdir(exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name in names or PAGES:
            path, theme, (width, height) = PAGES[name]
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # pyright: ignore[reportArgumentType]
            page = context.new_page()
            page.goto(url + path, wait_until="load")
            if path == RECIPE:  # the funnel follows the page
                page.locator("#funnel .yield").wait_for()
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            context.close()
            size = file.stat().st_size
            sys.stdout.write(f"{file.name}: {size:,} bytes{' TOO LARGE' if size > BYTES_MAX else ''}\n")
        browser.close()


@contextmanager
def served() -> Iterator[str]:
    """Run the filled service; yield its URL."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        data_dir = Path(folder)
        database = Database(f"sqlite:///{data_dir / 'retort.db'}")
        database.create()
        fill(database, data_dir)
        calm(database)
        database.close()
        folder = data_dir / "datasets/arithmetic/v1"
        for path in (*(folder / "data").iterdir(), folder / "rejected.parquet"):
            rows = pq.read_table(path).to_pydict()
            rows["category"] = [_calmed(name) for name in rows["category"]]
            pq.write_table(pa.table(rows), path)
        listener.bind(("127.0.0.1", 0))
        app = create_app(Settings(data_dir=data_dir, database_url=""))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def calm(database: Database) -> None:
    """Take the hostile texts out of the library: tests need them, readers of the documentation do not."""
    with database.write() as session:
        for table in (Batch, Prompt, Trace, Failure, VerdictRow, DatasetVersion, Review, Run):
            for row in session.exec(select(table)):
                for name, value in row.model_dump().items():
                    if isinstance(value, str | list | dict):
                        setattr(row, name, _calmed(value))
                session.add(row)


def _calmed(value: Any) -> Any:
    text = orjson.dumps(value).decode()
    for hostile in (*HOSTILE, "<script>"):
        text = text.replace(orjson.dumps(hostile).decode()[1:-1], "")
    return orjson.loads(text.replace("<b>speed</b>", "speed"))


if __name__ == "__main__":
    main(sys.argv[1:])
