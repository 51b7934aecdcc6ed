"""What a browser costs the run that it looks at: a session of a million points of twenty variables."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sessions
from measuring import Options, Table, Target, commands, interleave, scaled

TITLE = "The dashboard on 20 × 10⁶ points"
TEXT = """\
Chromium opens the dashboard of a session that has a million points of each of 20 variables, while the run goes on; then the
wheel zooms its first plot. *first plot*: from the request of the page to the first curve on the screen. A ticker of 10 ms in
the run's loop notes how late it comes from the request on. *elsewhere*: the same ticker while the same browser opens the
same page of another process, so that the two share the two cores but not the interpreter."""
REMARK = (
    "The browser takes both cores for a second while it starts to draw; what the ticker then misses beside a page of "
    "another process is the machine's own."
)
PERIOD = 0.010


async def ticker(late):
    loop = asyncio.get_running_loop()
    tick, start = 0, loop.time()
    while True:
        tick += 1
        due = start + tick * PERIOD
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append(loop.time() - due)
        tick = max(tick, int((loop.time() - start) / PERIOD))


async def beside_a_browser(link):
    """Tick while the browser looks; return what both found."""
    late = []
    browser = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "browse", link,
        stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert await browser.stdout.readline() == b"ready\n"
    ticking = asyncio.create_task(ticker(late))
    browser.stdin.write(b"go\n")
    opened = json.loads(await browser.stdout.readline())
    ticking.cancel()
    late.sort()
    zoomed = json.loads((await browser.communicate(b"zoom\n"))[0])
    found = {"late p50": late[len(late) // 2], "late p99": late[int(len(late) * 0.99)], "late most": late[-1]}  # fmt: skip
    return opened | zoomed | {name: value * 1e3 for name, value in found.items()}


def browse(link):
    """Open the page when told so, and zoom when told so."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        size = [0]
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.loadingFinished",
            lambda e: size.__setitem__(0, size[0] + e["encodedDataLength"]),
        )
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(opened(page, link, size)), flush=True)
        sys.stdin.readline()
        print(json.dumps(zoomed(page)), flush=True)
        chromium.close()


def opened(page, link, size):
    began = time.monotonic()
    page.goto(link, wait_until="commit")
    # Many colours: a curve, and not only the axes.
    curve = """() => { const c = document.querySelector('.chart canvas'); if (!c || !c.width) return false;
        const p = c.getContext('2d').getImageData(62, 10, c.width - 80, c.height - 40).data.buffer;
        return new Set(new Uint32Array(p)).size > 12 }"""
    while not page.evaluate(curve):
        assert time.monotonic() - began < 30, "no plot"
        time.sleep(0.02)
    first, until_then = time.monotonic() - began, size[0]
    page.wait_for_timeout(2000)
    return {"first plot": first, "bytes until then": until_then / 1e3, "bytes": size[0] / 1e3}


def zoomed(page):
    box = page.locator(".chart canvas").first.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.evaluate("""() => { window.frames_ms = []; let last = performance.now();
        const next = (now) => { frames_ms.push(now - last); last = now; requestAnimationFrame(next) };
        requestAnimationFrame(next) }""")
    for number in range(40):
        page.mouse.wheel(0, -60 if number < 24 else 60)
        page.wait_for_timeout(40)
    frames = sorted(page.evaluate("() => frames_ms"))
    return {"frame p50": frames[len(frames) // 2], "frame p95": frames[int(len(frames) * 0.95)]}


def ours(path):
    os.environ["XDG_CONFIG_HOME"] = str(Path.cwd())
    from pymanip_run import AsyncSession, access
    from pymanip_run.session import internals

    found = {}

    async def look(sesn):
        await asyncio.sleep(1)
        link = access.link(internals(sesn).address, access.user_token())
        found.update(await beside_a_browser(link))
        sesn.ask_exit()

    with AsyncSession(path, verbose=False) as sesn:
        sesn.run(look)
    return found


def elsewhere(path):
    os.environ["XDG_CONFIG_HOME"] = str(Path.cwd())
    command = [sys.executable, "-m", "pymanip_run", "open", path, "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:  # fmt: skip
        try:
            link = server.stdout.readline().strip()
            time.sleep(1)
            return asyncio.run(beside_a_browser(link))
        finally:
            server.terminate()


SUBJECTS = {"elsewhere": elsewhere, "pymanip-run": ours}
SHOWN = {
    "first plot": ("time to the first plot", "s", Target("≤ 1 s", "pymanip-run", 1.0)),
    "bytes until then": ("bytes until the first plot", "kB", Target("≤ 200 kB", "pymanip-run", 200)),
    "bytes": ("bytes 2 s later", "kB", None),
    "frame p50": ("time per frame while zooming, p50", "ms", None),
    "frame p95": ("time per frame while zooming, p95", "ms", None),
    "late p50": ("lateness of the loop, p50", "ms", None),
    "late p99": ("lateness of the loop, p99", "ms", None),
    "late most": ("lateness of the loop, most", "ms", None),
}  # fmt: skip


def measure(options: Options) -> list[Table]:
    if shutil.which("chromium") is None:
        raise OSError("there is no chromium here")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        entries = scaled(1_000_000, 20_000)
        # "all" goes to now.
        sessions.START_NS = time.time_ns() - entries * sessions.STEP_NS
        path = sessions.make(Path(folder) / "large.h5", entries, 20)
        found = interleave(commands(__file__, SUBJECTS, options, path), options.rounds)
    tables = [
        Table(text, unit, "elsewhere", values=found[key], targets=[target] if target else ())
        for key, (text, unit, target) in SHOWN.items()
    ]
    beyond = [ours - other for ours, other in zip(*(found["late most"][n] for n in ("pymanip-run", "elsewhere")), strict=True)]  # fmt: skip
    target = Target("≤ 5 ms", "pymanip-run", 5, remark=REMARK)
    return [*tables, Table("longest stall, beyond elsewhere", "ms", values={"pymanip-run": beyond}, targets=[target])]  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "browse":
        browse(sys.argv[2])
    else:
        print(json.dumps(SUBJECTS[sys.argv[1]](sys.argv[2])), flush=True)
