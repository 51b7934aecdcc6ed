"""A report in a real browser: desk and telephone, light and dark, on paper, and by keyboard and ear."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_system("chromium")
PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "unit" / "export" / "report"))

from test_page import full, page_of  # noqa: E402


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "cell.html"
    path.write_text(page_of(full("convection")), "utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (375, 800)], ids=["desk", "telephone"])
def test_it_fits_shows_its_lines_and_asks_for_nothing(browser, page_file, size, scheme):
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=True,
    )
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(page_file.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    chart = page.locator("figure .chart").first.bounding_box()
    line = page.locator("figure .chart path.line").first.bounding_box()
    assert chart["width"] > 250
    assert line["width"] > 0.8 * chart["width"]
    tick = page.locator("figure .chart text.y").first.evaluate(
        "e => e.getBoundingClientRect().height"
    )
    assert 9 < tick < 20  # text keeps its size whatever the width
    ground, ink = page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    )
    bright = [sum(map(int, colour[4:-1].split(","))) for colour in (ground, ink)]
    assert (bright[0] > bright[1]) == (scheme == "light")
    page.close()


def test_who_cannot_see_it_has_the_same(browser, page_file):
    axe = pytest.importorskip("axe_playwright_python")
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(page_file.as_uri())
    # The page forbids scripts: axe comes from outside.
    page.evaluate(Path(axe.__file__).with_name("axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.close()


def test_it_is_printed_on_a4_in_light_colours(page_file, tmp_path):
    paper = tmp_path / "cell.pdf"
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--no-pdf-header-footer", f"--print-to-pdf={paper}", page_file.as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    content = paper.read_bytes()
    assert content.startswith(b"%PDF")
    sizes = {
        content[i : i + 50].split(b"]")[0]
        for i in range(len(content))
        if content.startswith(b"/MediaBox [", i)
    }
    assert len(sizes) == 1
    width, height = map(float, sizes.pop().split()[-2:])
    assert (round(width), round(height)) == (595, 842)
    assert 2 <= content.count(b"/Type /Page\n") <= 8
