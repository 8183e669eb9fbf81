"""The console in Chromium, as people meet it: with script and without, by keyboard, in the dark."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from operations import people
from scripts.world import Console
from tests.operations.console.visitor import TESTER
from tests.rows import add_charging_point, add_evse, add_reading, add_session, add_token, insert
from tests.station import Station, ago

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT_MILLISECONDS = 15_000

expect.set_options(timeout=TIMEOUT_MILLISECONDS)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; `apt-get install chromium` brings it"
)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def console(database_url, tmp_path):
    console = Console(database_url, tmp_path / "console.log", {})
    with console.program:
        console.wait_until_ready()
        yield console


@pytest.fixture
def browse(chromium, console, database):
    """Open a page as somebody of a role; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def open_page(role, **options):
        password = people.add(database, f"a-{role}", role, by=TESTER)
        context = chromium.new_context(base_url=console.url, **options)
        context.set_default_timeout(TIMEOUT_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        page.goto("/")
        page.get_by_label("Name").fill(f"a-{role}")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Now", level=1)).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A part of a page whose browser was signed out meanwhile is answered so.
    assert [complaint for complaint in complaints if "401" not in complaint] == []


def answer(station, payload):
    call = station.receive()
    station.send([3, call[1], payload])
    return call


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_find_a_charging_point_and_reset_it(browse, run_node, database, script):
    """With script the answer arrives while the page stays; without, the page loads itself anew."""
    node = run_node()
    add_charging_point(database)
    page = browse("operator", java_script_enabled=script)
    with Station(node.port) as station, ThreadPoolExecutor(1) as pool:
        station.boot()
        answered = pool.submit(answer, station, {"status": "Accepted"})
        page.get_by_role("searchbox").fill("CP1")
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_role("heading", name="CP1", level=1)).to_be_visible()
        page.get_by_role("link", name="reset", exact=True).click()
        page.get_by_role("button", name="Reset").click()
        if script:
            page.evaluate("window.stayed = true")
        assert answered.result(10)[2:] == ["Reset", {"type": "Soft"}]
        status = page.get_by_role("status")
        expect(status).to_contain_text("accepted")
        station.boot()
        expect(status).to_contain_text("done")
        if script:
            assert page.evaluate("window.stayed") is True


def test_two_clicks_are_one_command(browse, database):
    add_charging_point(database)
    page = browse("operator")
    page.goto("/command/new?id=CP1&kind=clear_cache")
    page.get_by_role("button", name="Clear cache").dblclick()
    expect(page.get_by_text("queued")).to_be_visible()
    assert database.execute("SELECT count(*) FROM commands").fetchone() == (1,)


def test_an_observer_is_offered_nothing_that_changes_something(browse, database):
    add_charging_point(database)
    page = browse("observer")
    page.goto("/charging-point?id=CP1")
    expect(page.get_by_role("heading", name="Ask it for something")).to_have_count(0)
    expect(page.get_by_role("link", name="People")).to_have_count(0)


def test_what_a_charging_point_says_of_itself_is_text(browse, database):
    add_charging_point(database, vendor="<img src=x onerror=alert(1)>", model="</table>\u202e")
    page = browse("observer")
    page.goto("/charging-points")
    expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    expect(page.locator("main img")).to_have_count(0)


PAGES = (
    "/", "/charging-points", "/charging-point?id=CP1", "/charging-point/timeline?id=CP1",
    "/command/new?id=CP1&kind=set_profile", "/command/1", "/commands", "/sessions", "/session/1",
    "/sessions/unassigned", "/cards", "/hub", "/jobs", "/jobs/new?kind=write_settings", "/audit",
    "/people", "/account", "/nodes",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(browse, database, scheme):
    """axe finds nothing, contrast in both schemes included."""
    add_charging_point(database, vendor="Acme", model="One", last_seen_at=ago(hours=1))
    add_evse(database, state="faulted", status="Faulted", status_at=ago(hours=1))
    add_token(database, "04A1B2C3")
    session = add_session(database)
    for minutes, register in ((50, 1200), (30, 1800)):
        add_reading(database, session, register, sampled_at=ago(minutes=minutes))
    insert(database, "deliveries", queue="evse-data", key="X", state="parked", reason="because")
    insert(database, "commands", charging_point_id="CP1", kind="reset", arguments={"hard": True},
           requested_by="x", deadline=ago(hours=1), state="expired")  # fmt: skip
    page = browse("administrator", color_scheme=scheme)
    for path in PAGES:
        page.goto(path)
        found = Axe().run(page).response["violations"]
        assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == [], path


def test_a_page_that_was_signed_out_says_so_by_itself(browse, database):
    page = browse("observer")
    database.execute("DELETE FROM person_sessions")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=TIMEOUT_MILLISECONDS)
