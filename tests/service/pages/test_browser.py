"""The pages in a real browser: the way a person goes through them, and what the browser has to say about it."""

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from service.app import create_app
from service.models import Batch, BatchState, Job, JobState, Trace
from service.settings import Settings
from service.store.database import Database
from tests.conftest import leave_out
from tests.service.pages.ids import ASKING, DONE, TRAINED, TRAINING
from tests.service.pages.library import fill

QUIET = [
    "--no-sandbox",  # a container's root has no user namespaces to build one from
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Nothing but the pages themselves may go out to a network."""
LIVE_S = 15.0
MAIN = [
    "/",
    "/batches",
    f"/batches/{DONE}",
    "/traces?category=area&after=60",
    "/traces/18",
    "/recipes",
    "/datasets",
    "/datasets/arithmetic/1",
    "/datasets/arithmetic/1/ledger?reason=near_duplicate",
    "/datasets/arithmetic/diff?from=loose@1&to=1&change=removed",
    f"/runs/{TRAINED}",
    f"/runs/{TRAINING}",
    "/runs/new?dataset=arithmetic@1",
    "/teachers",
    "/licences?teacher=llama3.1&prompts=cc-by-sa-4.0",
    "/settings",
    "/audit",
    "/docs",
]
PHONE_PX = 360
PART = {
    "/docs": "main > section:nth-of-type(-n+3)",
    "/licences?teacher=llama3.1&prompts=cc-by-sa-4.0": "main > :not(section:last-child)",
}
"""Of pages with many rows alike, what axe looks at."""
WRONG = {"resultTypes": ["violations"]}
STANDARD = WRONG | {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
CONTRAST = WRONG | {"runOnly": {"type": "rule", "values": ["color-contrast"]}}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browsed")


@pytest.fixture(scope="module")
def database(data_dir: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{data_dir / 'retort.db'}")
    made.create()
    fill(made, data_dir)
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(data_dir: Path, database: Database) -> Iterator[str]:
    app = create_app(Settings(data_dir=data_dir, database_url=""))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        leave_out("the pages in a browser: no Chromium here; install the package 'chromium'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """What a browser had against the pages: errors on its console, requests that went elsewhere or failed."""
    return []


@pytest.fixture(params=[True, False], ids=["script", "no_script"])
def page(request, browser, url, complaints):
    context = browser.new_context(
        base_url=url, java_script_enabled=request.param, viewport={"width": 390, "height": 844}
    )
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    opened.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else complaints.append(asked.url))
    opened.on("response", lambda got: complaints.append(got.url) if got.status >= 400 else None)
    yield opened
    context.close()


def test_the_way_from_the_front_page_to_a_student(page, complaints):
    page.goto("/")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Batches").click()
    page.locator(f"a[href='/batches/{DONE}']").click()
    page.get_by_role("link", name="Read the traces").click()
    page.locator("summary", has_text="Reasoning").first.click()
    page.locator("select[name=reason]").select_option("near_duplicate")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("link", name="Trace 18", exact=True).click()
    expect(page.locator("del").first).to_be_visible()
    page.get_by_role("link", name="arithmetic@1").click()
    page.locator("a.reason", has_text="wrong_answer").click()
    expect(page.locator("tbody tr")).to_have_count(14)
    page.get_by_role("link", name="arithmetic@1").click()
    page.locator(f"a[href='/runs/{TRAINED}']").click()
    expect(page.get_by_role("row", name="percent").first).to_be_visible()
    page.locator("summary", has_text="A jacket costs").first.click()
    chart = page.locator("figure img")
    expect(chart).to_have_js_property("complete", True)
    assert chart.evaluate("image => image.naturalWidth") > 0
    expect(page).to_have_title(re.compile("^Run"))
    assert complaints == []


def test_every_page_fits_a_phone_and_is_accessible_in_both_themes(browser, url):
    context = browser.new_context(base_url=url, viewport={"width": PHONE_PX, "height": 740}, color_scheme="light")
    page, axe, found = context.new_page(), Axe(), []
    for path in MAIN:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details:not(.route)').forEach(each => each.open = true)")
        assert (path, page.evaluate("document.documentElement.scrollWidth")) == (path, PHONE_PX)
        page.emulate_media(color_scheme="light")
        found += complaints_of(axe.run(page, PART.get(path), STANDARD), path, "light")
        page.emulate_media(color_scheme="dark")
        found += complaints_of(axe.run(page, PART.get(path), CONTRAST), path, "dark")
    context.close()
    assert found == []


def complaints_of(results, path: str, theme: str) -> list[str]:
    return [
        f"{path} {theme}: {violation['id']}: {violation['nodes'][0]['html'][:200]}"
        for violation in results.response["violations"]
    ]


def test_the_keyboard_reaches_the_content_and_the_theme_stays_chosen(browser, url):
    context = browser.new_context(base_url=url, color_scheme="light")
    page = context.new_page()
    page.goto("/recipes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    assert page.locator(".skip").evaluate("skip => getComputedStyle(skip).outlineStyle") == "solid"
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    for _ in range(2):
        page.get_by_role("button", name="Theme:").press("Enter")
    dark = page.evaluate(ground)
    page.goto("/licences")
    assert (page.evaluate(ground) == dark, dark != light) == (True, True)
    context.close()


def test_the_funnel_follows_what_is_edited(browser, url):
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.goto(f"/recipes?begun=1&batch={DONE}&f0.kind=length")
    page.get_by_text("kept: 75 of 77 traces").wait_for(timeout=1000 * LIVE_S)
    page.locator("summary", has_text="4 knobs").click()
    page.get_by_label("tokens_min").fill("200")
    page.get_by_text("kept: 69 of 77 traces").wait_for(timeout=1000 * LIVE_S)
    page.get_by_label("tokens_min").fill("0")
    page.locator("#funnel").get_by_text("greater than 0").wait_for(timeout=1000 * LIVE_S)
    page.get_by_label("tokens_min").fill("200")
    page.get_by_label("Add", exact=True).select_option("refusal")
    page.get_by_role("button", name="Add filter").click()
    page.get_by_role("button", name="Move refusal up").click()
    expect(page.locator(".card h2")).to_have_text(["refusal", "length"])
    expect(page.get_by_text("tokens_min=200")).to_be_visible()
    context.close()


def test_a_batch_moves_by_itself_and_rests_when_it_has_ended(browser, url, database):
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.goto(f"/batches/{ASKING}")
    expect(page.get_by_text("431 of 2,224 answers")).to_be_visible()
    with database.write() as session:
        job = session.get(Job, 2)
        assert job
        assert job.state == JobState.RUNNING
        job.stored = 500
    page.get_by_role("link", name="Read the traces").focus()
    page.get_by_text("500 of 2,224 answers").wait_for(timeout=1000 * LIVE_S)
    assert page.evaluate("document.activeElement.textContent") == "Read the traces →"
    with database.write() as session:
        session.get_one(Batch, ASKING).state = BatchState.CANCELLED
    page.locator("#live").get_by_text("cancelled", exact=True).first.wait_for(timeout=1000 * LIVE_S)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(5000)
    assert asked == []
    context.close()


def appears(locator):
    """Wait for what the next page shows, and until it has loaded: keys are listened to from then on."""
    locator.wait_for()
    locator.page.wait_for_load_state()


def test_what_a_model_wrote_is_typeset_and_keys_decide(browser, url, database, complaints):
    hostile = (
        r"$\text{<img src=x onerror=alert(1)>}$ ![b](http://203.0.113.7/b.png) [l](javascript:alert(1)) $\frac{1}{2}$"
    )
    with database.write() as session:
        session.get_one(Trace, 40).response = hostile
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else complaints.append(asked.url))
    page.goto("/traces/40?teacher=big")
    response = page.locator(".response .rich")
    assert response.locator("mfrac").bounding_box()["height"] > 20
    assert response.locator("img, script, a").count() == 0
    page.keyboard.press("a")  # the form asks for a name first
    page.keyboard.type("Ann")
    page.keyboard.press("Enter")
    appears(page.get_by_text("Last: Ann"))
    page.keyboard.press("r")
    appears(page.get_by_text(", reject."))
    page.keyboard.press("u")
    appears(page.get_by_text(", keep."))
    page.keyboard.press("t")
    page.keyboard.type("odd")
    page.keyboard.press("Enter")
    appears(page.get_by_role("link", name="odd"))
    page.keyboard.press("j")
    page.wait_for_url("**/traces/41?teacher=big")
    page.keyboard.press("k")
    page.wait_for_url("**/traces/40?teacher=big")
    page.goto("/traces?tag=odd")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces/40?tag=odd")
    assert complaints == []
    context.close()
