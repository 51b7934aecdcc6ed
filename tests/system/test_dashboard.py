"""The dashboard in a real browser, beside a real run."""

import os
import signal
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import axe_playwright_python
import numpy as np
import pytest
from helpers_ports import free_port

from pymanip_run import SavedAsyncSession, access

pytestmark = pytest.mark.needs_system("chromium")
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
SIZES = [(1280, 900), (800, 1000), (390, 844)]
RUN = """
    import math, numpy as np
    from pymanip_run.plotting.plot import Plot
    from pymanip_run.session import internals
    from pymanip_run.session.running import RunOptions, run_tasks
    from pymanip_run.session.serving import ServerOptions
    from pymanip_run.web.settings import Tunable

    n = 0
    async def measure(sesn):
        global n
        n += 1
        sesn.add_entry(T_bottom=41 + math.sin(n / 20), T_top=25 + math.cos(n / 30), power=float("nan") if n % 40 < 5 else 12 + n % 3)
        if n == 40:
            sesn.add_dataset(frame=np.arange(1200, dtype=np.uint16).reshape(30, 40), spectrum=np.sin(np.arange(200) / 9))
            sesn.note("refilled nitrogen")
        if n == 45:
            say(internals(sesn).address)
        await sesn.sleep(0.02)

    async def main(sesn):
        server = ServerOptions(port=PORT, control=True, tunable={"setpoint": Tunable(10, 60)})
        plots = (Plot(("T_bottom", "T_top"), title="Temperatures"), Plot(x="power", y="T_bottom", title="Response"))
        await run_tasks(sesn, [measure], RunOptions(server=server, plots=plots))

    with AsyncSession("cell", title="Rayleigh-Bénard cell") as sesn:
        sesn.describe("T_bottom", unit="°C", format=".3f", period=1)
        sesn.describe("T_top", unit="°C", format=".3f")
        sesn.save_parameter(setpoint=25.0, voltage=4)
        asyncio.run(main(sesn))
    """


@pytest.fixture
def page(browser):
    """A page that fails the test when it asks another server, or has an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    one = context.new_page()
    one.asked, one.troubles = [], []
    one.on("request", lambda request: one.asked.append(request.url))
    one.on("pageerror", lambda error: one.troubles.append(str(error)))
    one.on(
        "console",
        lambda message: (
            one.troubles.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    one.on(
        "dialog", lambda dialog: (one.troubles.append(f"dialog {dialog.message}"), dialog.dismiss())
    )
    one.set_default_timeout(15_000)
    yield one
    context.close()
    assert one.troubles == []
    hosts = {
        url.split("/")[2].rpartition(":")[0] for url in one.asked if url.startswith(("http", "ws"))
    }
    assert hosts <= {"localhost", "127.0.0.1"}, "asked elsewhere"


@pytest.fixture
def run(script):
    """A run that serves; `link` logs in."""

    def start(port=0, code=RUN):
        started = script(code.replace("PORT", str(port)))
        started.url = started.wait_for("http")
        started.link = access.link(started.url, access.user_token())
        return started

    return start


def text(page, selector):
    return page.locator(selector).inner_text()


def drawn(page, number=0):
    """How many different pixels a chart has: 0 where nothing was drawn."""
    return page.evaluate(
        """(number) => { const c = document.querySelectorAll('.chart canvas')[number];
           return c ? new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size : 0 }""",
        number,
    )


def wait_for(page, condition):
    """Wait until an expression is true; the page itself may evaluate none (CSP)."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within 20 s: {condition}"
        page.wait_for_timeout(50)


def until(page, is_so, what="not so"):
    """Wait until something is so that is looked at from here."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"{what} within 60 s"
        page.wait_for_timeout(50)


def test_the_link_logs_in_and_the_page_shows_the_run(page, run):
    started = run()
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    assert "#" not in page.url
    assert access.user_token() not in page.content()
    assert text(page, "#title") == "Rayleigh-Bénard cell"
    assert "running" in text(page, "#state")
    row = text(page, "#values-rows tr[data-name=T_bottom]")
    assert "°C" in row
    assert "40." in row or "41." in row or "42." in row
    wait_for(page, "document.querySelectorAll('.chart canvas').length === 2")
    until(page, lambda: drawn(page, 0) > 10 and drawn(page, 1) > 5, "not drawn")
    assert "refilled nitrogen" in text(page, "#event-rows")
    assert "measure" in text(page, "#task-rows")
    assert "setpoint" in text(page, "#parameter-rows")
    page.reload()
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")  # by the cookie


def test_without_a_token_the_page_asks_for_it(page, run):
    started = run()
    page.goto(started.url)
    page.wait_for_selector("#login:not([hidden])")
    page.fill("#token", "AAAA-AAAA-AAAA-AAAA")
    page.click("#login button")
    wait_for(page, "document.getElementById('login-error').textContent.length > 5")
    page.fill("#token", access.user_token().lower())
    page.click("#login button")
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")


NASTY = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


def test_markup_in_names_units_notes_and_metadata_is_only_text(page, run):
    code = f"""
    from pymanip_run.session import internals
    nasty = {NASTY!r}
    async def measure(sesn):
        sesn.add_entry({{nasty[:200]: 1.0, "T": 2.0}})
        await sesn.sleep(0.05)
        if sesn["T"].size == 10:
            say(internals(sesn).address)
    with AsyncSession("cell", title=nasty) as sesn:
        sesn.describe("T", unit=nasty, label=nasty)
        sesn.save_parameter({{nasty[:100]: nasty}})
        sesn.save_metadata(x=nasty)
        sesn.note(nasty, source=nasty)
        sesn.add_dataset({{nasty[:60]: nasty}})
        sesn.run(measure, server_port=PORT or 6950)
    """
    port = free_port()
    started = run(port, code)
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr")
    page.wait_for_selector("#event-rows li, #event-rows tr")
    until(page, lambda: drawn(page) > 5, "not drawn")
    page.wait_for_timeout(1000)  # in which what must not happen could
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
    assert NASTY in text(page, "#title")
    assert NASTY in text(page, "#event-rows")
    assert NASTY in text(page, "#parameter-rows")


def test_what_is_typed_arrives(page, run):
    started = run()
    page.goto(started.link)
    page.fill("#note", "valve <closed>")
    page.click("#note-form button")
    wait_for(page, "document.getElementById('event-rows').textContent.includes('valve <closed>')")
    assert page.locator("#stop").is_hidden(), "the link only reads"
    assert page.locator("#parameter-rows input").count() == 0


def test_with_the_control_token_parameters_are_set_and_the_run_is_stopped(page, run):
    started = run()
    page.goto(access.link(started.url, access.user_token(control=True)))
    page.wait_for_selector("#parameter-rows input")
    page.fill("#parameter-rows input", "31.5")
    page.press("#parameter-rows input", "Enter")
    wait_for(page, "document.getElementById('event-rows').textContent.includes('25.0 → 31.5')")
    page.fill("#parameter-rows input", "99")
    page.press("#parameter-rows input", "Enter")
    wait_for(
        page, "document.getElementById('parameter-rows').textContent.includes('must be within')"
    )
    page.evaluate("window.prompt = () => 'enough'")
    page.click("#stop")
    wait_for(page, "document.getElementById('state').textContent.startsWith('finished')")
    assert "enough" in text(page, "#state")
    assert started.end()[0] == 0
    assert "has ended" in text(page, "#banner")
    assert page.locator("#values-rows tr").count() == 3, "the page stays with what it had"


def test_a_lost_connection_is_said_and_the_gap_is_filled_on_return(page, run):
    port = free_port()
    first = run(port)
    page.goto(first.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    os.kill(first.pid, signal.SIGKILL)
    first.end()
    wait_for(page, "document.getElementById('state').textContent === 'connection lost'")
    assert "Connection lost" in text(page, "#banner")
    assert page.title().startswith("connection lost")
    second = run(port)
    wait_for(page, "document.getElementById('state').textContent === 'running'")
    assert page.locator("#banner").is_hidden()
    second.send(signal.SIGINT)
    wait_for(page, "document.getElementById('state').textContent.startsWith('finished')")
    assert second.end()[0] == 0


def test_a_finished_page_stays_where_another_session_begins_and_its_link_opens_that(page, run):
    port = free_port()
    first = run(port)
    page.goto(first.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    first.send(signal.SIGINT)
    wait_for(page, "document.getElementById('state').textContent.startsWith('finished')")
    assert first.end()[0] == 0
    second = run(port, RUN.replace('AsyncSession("cell", title="', 'AsyncSession("other", title="Another '))  # fmt: skip
    wait_for(page, "document.getElementById('banner').textContent.includes('Another session')")
    assert page.locator("#values-rows tr[data-name=T_bottom]").is_visible()
    assert page.locator("#login").is_hidden()
    page.evaluate(f"location.href = {second.link!r}")  # as it is typed into the address bar
    page.locator("#title", has_text="Another").wait_for()  # no evaluation: the page begins anew
    page.locator("#state", has_text="running").wait_for()
    assert "#" not in page.url


def test_a_lost_page_stays_where_another_session_begins(page, run):
    port = free_port()
    first = run(port)
    page.goto(first.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    os.kill(first.pid, signal.SIGKILL)
    first.end()
    run(port, RUN.replace('AsyncSession("cell"', 'AsyncSession("other"'))
    page.wait_for_selector("#login:not([hidden])")
    assert page.locator("#values-rows tr[data-name=T_bottom]").is_visible()
    assert text(page, "#state") == "connection lost"
    page.fill("#token", access.user_token())
    page.click("#login button")
    page.locator("#state", has_text="running").wait_for()
    assert page.locator("#login").is_hidden()


def test_a_link_that_is_out_of_date_shuts_nobody_out_who_is_in(page, run):
    started = run()
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    page.goto("about:blank")
    page.goto(f"{started.url}/#t=AAAA-AAAA-AAAA-AAAA")
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    assert page.locator("#login").is_hidden()
    assert "#" not in page.url


def answered(page, part):
    """Count the requests so far for an address."""
    return sum(part in url for url in page.asked)


def test_what_is_new_comes_by_itself(page, run):
    streams = []
    page.on("websocket", lambda stream: streams.append(stream.url))
    page.goto(run().link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    wait_for(page, "document.querySelectorAll('.chart canvas').length === 2")
    page.wait_for_timeout(1500)
    assert len(streams) == 1
    assert "/api/v1/live?after=" in streams[0]
    before, began = len(page.asked), time.monotonic()
    value = text(page, "#values-rows tr[data-name=T_bottom] td.value")
    page.wait_for_timeout(3000)
    until(page, lambda: text(page, "#values-rows tr[data-name=T_bottom] td.value") != value)
    allowed = 2 + 0.7 * (time.monotonic() - began)
    assert len(page.asked) - before <= allowed, page.asked[before:]  # not once a second, no series
    assert answered(page, "/data?after") == 0


def test_without_the_live_stream_the_page_asks_again_and_again(page, run):
    page.add_init_script("window.WebSocket = class { constructor() { this.l = []; setTimeout(() => this.l.forEach((f) => f({})), 50) }"
                         " addEventListener(kind, f) { if (kind === 'close') this.l.push(f) } close() {} };")  # fmt: skip
    started = run()
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    until(page, lambda: answered(page, "/state?") >= 1, "not asked")
    before, value = answered(page, "/state?"), text(page, "#values-rows tr[data-name=T_bottom] td.value")  # fmt: skip
    until(page, lambda: answered(page, "/state?") - before >= 2, "not asked again and again")
    until(page, lambda: text(page, "#values-rows tr[data-name=T_bottom] td.value") != value)
    started.send(signal.SIGINT)
    wait_for(page, "document.getElementById('state').textContent.startsWith('finished')")
    assert started.end()[0] == 0


COUNTING = RUN.replace("await sesn.sleep(0.02)", "sesn.add_entry(count=sesn.now()); await sesn.sleep(0.02)")  # fmt: skip


def test_a_stream_that_breaks_off_is_taken_up_without_a_gap(page, run, tmp_path):
    """What the page has of a variable is each value that the file has, through three broken streams."""
    page.add_init_script("""
        const Real = window.WebSocket; window.streams = []; window.taken = {};
        window.WebSocket = class extends Real {
          constructor(url) { super(url); streams.push(this); this.addEventListener("message", (e) => note(JSON.parse(e.data))); }
        };
        const note = (answer) => { const one = answer.series?.count; one?.t.forEach((t, i) => { taken[t] = one.v[i]; }); };
        const real = window.fetch;
        window.fetch = async (path, options) => { const answer = await real(path, options);
          if (/after=/.test(path)) answer.clone().json().then(note); return answer; };
    """)
    started = run(code=COUNTING)
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr[data-name=count]")
    wait_for(page, "streams.length === 1 && Object.keys(taken).length > 20")
    for number in (2, 3, 4):
        page.evaluate("streams.at(-1).close()")
        wait_for(page, f"streams.length === {number} && streams.at(-1).readyState === 1")
        page.wait_for_timeout(300)
    wait_for(page, "Object.keys(taken).length > 100")
    taken = sorted(float(t) for t in page.evaluate("Object.keys(taken)"))
    started.send(signal.SIGINT)
    started.end()
    with SavedAsyncSession(tmp_path / "cell", verbose=False) as saved:
        times = saved["count"].timestamps
    inside = times[(times >= taken[0]) & (times <= taken[-1])]
    assert taken == inside.tolist()


def test_a_frozen_run_is_a_lost_connection_and_its_values_grow_old(page, run):
    started = run()
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    until(page, lambda: text(page, "#state") == "running")
    os.kill(started.pid, signal.SIGSTOP)
    try:
        until(page, lambda: text(page, "#state") == "connection lost", "not noticed")
        assert page.evaluate("document.body.classList.contains('lost-connection')")
        age = page.locator("#values-rows tr[data-name=T_top] td.age")
        first = age.inner_text()
        until(page, lambda: age.inner_text() != first, "it grows no older")
    finally:
        os.kill(started.pid, signal.SIGCONT)
    wait_for(page, "document.getElementById('state').textContent === 'running'")
    assert page.locator("#banner").is_hidden()


def test_simulated_values_are_marked_as_such(page, run, tmp_path):
    (tmp_path / "x").mkdir()
    page.goto(run().link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    assert page.locator("#badge").is_hidden()
    code = RUN.replace("plots=plots)", "plots=plots, texts={'simulated': 'supply, thermo'})")  # fmt: skip
    page.goto(run(code=code.replace('AsyncSession("cell"', 'AsyncSession("x/other"')).link)
    wait_for(page, "document.getElementById('badge')?.textContent === 'simulated'")
    assert "supply, thermo" in page.locator("#badge").get_attribute("title")


def test_a_point_of_an_x_y_plot_is_read_out(page, run):
    page.goto(run().link)
    chart = page.locator(".chart canvas").nth(1)
    chart.wait_for()
    until(page, lambda: drawn(page, 1) > 5, "not drawn")
    legend = page.locator(".legend").nth(1)
    assert legend.inner_text().startswith("across power")
    box = chart.bounding_box()
    page.evaluate("document.querySelectorAll('.chart canvas')[1].scrollIntoView()")
    box = chart.bounding_box()
    for across in range(70, int(box["width"]) - 10, 12):
        page.mouse.move(box["x"] + across, box["y"] + box["height"] / 2)
        if ":" in legend.inner_text().split("·")[0] and not legend.inner_text().startswith(
            "across"
        ):
            break
    else:
        pytest.fail("no point is read out")
    assert "°C" in legend.inner_text()


def test_charts_zoom_by_wheel_drag_and_keys_and_show_a_table(page, run):
    page.goto(run().link)
    chart = page.locator(".chart canvas").first
    chart.wait_for()
    until(page, lambda: drawn(page) > 10, "not drawn")
    box = chart.bounding_box()
    everything = page.locator(".plot").first.locator("button", has_text="all")
    assert everything.get_attribute("aria-pressed") == "true"
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    assert "°C" in page.locator(".legend").first.inner_text()
    assert ":" in page.locator(".legend time").first.inner_text()
    page.mouse.wheel(0, -300)
    until(page, lambda: everything.get_attribute("aria-pressed") == "false", "not zoomed")
    everything.click()
    assert everything.get_attribute("aria-pressed") == "true"
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 350, box["y"] + 120, steps=5)
    page.mouse.up()
    until(page, lambda: everything.get_attribute("aria-pressed") == "false", "not zoomed")
    until(page, lambda: drawn(page) > 10, "not drawn")
    everything.click()
    chart.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    until(page, lambda: everything.get_attribute("aria-pressed") == "false", "not zoomed")
    page.locator(".plot").first.locator("button", has_text="as table").click()
    page.wait_for_selector(".plot table tbody tr")
    page.locator(".plot").first.locator("button", has_text="log").click()
    with page.expect_download() as download:
        page.locator(".plot").first.locator("button", has_text="PNG").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as download:
        page.locator(".plot").first.locator("button", has_text="CSV").click()
    assert Path(download.value.path()).read_text().startswith("time,T_bottom [°C],T_top [°C]")


def test_a_variable_is_plotted_on_a_click_and_found_by_the_filter(page, run):
    page.goto(run().link)
    page.click("#values-rows tr[data-name=power] button")
    wait_for(page, "document.querySelectorAll('.plot').length === 3")
    assert page.locator(".plot h2").first.inner_text() == "power"
    page.locator(".plot button[title=close]").click()
    wait_for(page, "document.querySelectorAll('.plot').length === 2")
    page.fill("#filter", "bott")
    assert page.locator("#values-rows tr:not([hidden])").count() == 1


def test_datasets_are_seen_as_image_line_and_table(page, run):
    page.goto(run().link)
    page.wait_for_selector("#dataset-body .image canvas")
    page.locator("#dataset-body .readout").scroll_into_view_if_needed()
    box = page.locator("#dataset-body .image canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
    assert "(39, 29) = 1199" in text(page, "#dataset-body .readout")
    page.select_option("#dataset-body select[aria-label=Dataset]", "spectrum")
    page.wait_for_selector("#dataset-body .image canvas[aria-label*='as line']")
    page.select_option("#dataset-body select[aria-label='Shown as']", "table")
    page.wait_for_selector("#dataset-body table")


def test_the_limits_of_the_colours_may_have_a_decimal_comma(page, run):
    page.goto(run().link)
    page.wait_for_selector("#dataset-body .image canvas")
    for label, value in (("Smallest", "0,9"), ("Largest", "1,1")):
        page.fill(f"#dataset-body input[aria-label^={label}]", value)
        page.press(f"#dataset-body input[aria-label^={label}]", "Enter")
    shown = "[...document.querySelector('#dataset-body .image canvas').getContext('2d').getImageData(1, 0, 1, 1).data].join()"
    wait_for(page, f"{shown}.split(',')[1] === '144'")  # a value of 1 is in the middle


LONG = RUN.replace(
    "spectrum=np.sin(np.arange(200) / 9)",
    "spectrum=np.where(np.arange(100_000) == 54_321, 9.0, 0.0), wide=np.ones((700, 2000))",
)


def test_a_narrow_peak_of_a_long_line_is_seen_and_what_is_left_out_is_said(page, run):
    page.goto(run(code=LONG).link)
    page.select_option("#dataset-body select[aria-label=Dataset]", "spectrum")
    page.wait_for_selector("#dataset-body .image canvas[aria-label*='as line']")
    assert "smallest and largest of each 167 values" in text(page, "#dataset-body .readout")
    # The peak goes up to the upper end; without it the line would be in the middle.
    line = "document.querySelector('#dataset-body .image canvas').getContext('2d').getImageData(480, 0, 60, 100).data"
    assert page.evaluate(f"{line}.some((v, i) => i % 4 === 3 && v > 200)")
    page.select_option("#dataset-body select[aria-label='Shown as']", "table")
    page.wait_for_selector("#dataset-body table")
    assert "the first 50 rows and columns" in text(page, "#dataset-body .readout")
    assert page.locator("#dataset-body tbody tr").count() == 50
    page.select_option("#dataset-body select[aria-label=Dataset]", "wide")
    page.select_option("#dataset-body select[aria-label='Shown as']", "image")
    page.wait_for_selector("#dataset-body .image canvas")
    assert "shown is one row of 2 and one column of 4" in text(page, "#dataset-body .readout")


def test_the_picture_of_a_plot_says_what_it_shows(page, run):
    from matplotlib.image import imread

    page.goto(run().link)
    page.wait_for_selector(".plot canvas")
    wait_for(page, "document.querySelector('.plot canvas').width > 300")
    height = page.evaluate("document.querySelector('.plot canvas').height")
    with page.expect_download() as download:
        page.locator(".plot button", has_text="PNG").first.click()
    assert download.value.suggested_filename == "Temperatures.png"
    pixels = imread(download.value.path())
    assert pixels.shape[0] >= height + 48 + 22, "there is no room for title and legend"
    for rows in (pixels[:26], pixels[28:44], pixels[48 + height :]):
        assert len(np.unique(rows.reshape(-1, rows.shape[-1]), axis=0)) > 5, "nothing is written"


def test_the_csv_of_a_plot_has_what_is_seen(page, run):
    page.goto(run().link)
    page.wait_for_selector(".plot canvas")
    wait_for(page, "document.querySelector('.plot canvas').width > 300")
    page.locator(".plot canvas").first.press("+")  # the middle of what there is
    with page.expect_download() as download:
        page.locator(".plot button", has_text="CSV").first.click()
    query = parse_qs(urlsplit(download.value.url).query)
    head, *rows = Path(download.value.path()).read_text("utf-8").splitlines()
    assert head == "time,T_bottom [°C],T_top [°C]"
    times = [float(row.partition(",")[0]) for row in rows]
    assert len(times) > 5
    assert float(query["since"][0]) <= min(times)
    assert max(times) <= float(query["until"][0])


def test_an_answer_from_before_the_end_does_not_hide_the_end(page, run):
    started = run()
    page.goto(started.link)
    page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
    held = []

    def hold(route):
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    page.route("**/api/v1/snapshot", hold)
    until(page, lambda: held, "the page does not ask")
    started.send(signal.SIGINT)
    wait_for(page, "document.getElementById('state').textContent.startsWith('finished')")
    started.end()  # nobody can tell it again
    (route, answer), asked = held[0], answered(page, "snapshot")
    route.fulfill(response=answer)
    # It looks at that, and later for another run.
    until(page, lambda: answered(page, "snapshot") > asked, "the page asks no more")
    assert text(page, "#state").startswith("finished")
    assert "connection lost" not in text(page, "#banner")
    assert "The run has ended" in text(page, "#banner")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(browser, run, scheme):
    started = run()
    for width, height in SIZES:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        page = context.new_page()
        page.goto(started.link)
        page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def test_a_saved_session_has_the_same_page(page, run, tmp_path):
    import subprocess
    import sys

    started = run()
    started.send(signal.SIGINT)
    started.end()
    process = subprocess.Popen(
        [sys.executable, "-m", "pymanip_run", "open", str(tmp_path / "cell"), "--no-browser", "--port", "0"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        page.goto(process.stdout.readline().strip())
        page.wait_for_selector("#values-rows tr[data-name=T_bottom]")
        wait_for(page, "document.getElementById('state').textContent === 'saved session'")
        until(page, lambda: drawn(page) > 10, "not drawn")
        assert page.locator("#notes").is_hidden()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_people_who_cannot_see_it_can_use_it(browser, run, scheme):
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(run().link)
    page.wait_for_selector(".plot canvas")
    until(page, lambda: drawn(page) > 10, "not drawn")
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html).slice(0, 3)]))"
    )
    context.close()
    assert [one for one in found if one[0] in ("serious", "critical")] == []
