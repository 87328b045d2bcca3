"""The report in a real browser: asks for nothing, fits a phone, can be read aloud.

Needs Chromium (`apt-get install chromium`) and the Python package playwright; skipped without,
unless BERTOPS_NEEDS_BROWSER is set, as continuous integration does.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bertops.evaluation.report.page import write_report
from bertops.evaluation.run import evaluate
from tests.unit.encoders import save_encoder
from tests.unit.evaluation.project import PARAMS, WORDS, report_inputs, write_project
from tests.unit.registry.comparisons import comparison

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLIPS = {
    "against": "version 3",
    "gained": [],
    "lost": [
        {
            "document_id": "d7", "excerpt": "nothing is " + "very " * 40 + "bad here",
            "gold": "positive", "wrong": "negative", "confidence": 0.91,
        }
    ],
}  # fmt: skip
VERDICT = {
    "task": "sentiment",
    "judged_by": None,
    "version": 4,
    "against": 3,
    "standing": "refused",
    "sentence": "sentiment version 4 was not promoted: 1 of 2 gates said no",
    "gates": [
        {
            "name": "beats_majority", "value": 0.85, "low": 0.81, "high": 0.89, "documents": 3000,
            "threshold": 0.5, "passed": True,
            "reason": "accuracy 0.850 [0.810, 0.890] clears the baseline 0.500 (+0.310 at the "
            "interval's near end, n=3000)",
        },
        {
            "name": "against_champion", "value": -0.021, "low": -0.04, "high": -0.002,
            "documents": 300, "threshold": "better", "passed": False, "reason": "worse",
        },
    ],
    "head_to_head": {
        "comparison": asdict(comparison("worse")), "flips": FLIPS,
        "slices": [
            {
                "column": "source", "value": "imdb", "documents": 100, "score": "accuracy",
                "measured": 0.7,
                "low": 0.61, "high": 0.78, "other": 0.8, "p_value": 0.004, "standing": "worse",
            }
        ],
        "finding": "version 4 is worse: -2.1 points [-4.0, -0.2]",
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every part filled, hostile text included."""
    root = tmp_path_factory.mktemp("report")
    encoder = save_encoder(root / "models/encoder", "modernbert", WORDS)
    task = write_project(root, encoder)
    target = root / "reports/evaluation"
    evaluate([task], encoder, root / "data/corpus", root / "data/tokens", target, PARAMS)
    write_report(report_inputs(root), [VERDICT], root / "report.html")
    return root / "report.html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    chromium = find_browser(os.environ)
    if importlib.util.find_spec("playwright") is None:
        do_without("playwright: pip install -e '.[browser]'", os.environ)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers have no user namespaces for the sandbox; the page is our own file.
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def find_browser(environment: Mapping[str, str]) -> str:
    """The path of a Chromium, whatever its name here; the test ends where there is none."""
    path = environment.get("PATH")
    found = (shutil.which(name, path=path) for name in BROWSERS)
    chosen = environment.get("BERTOPS_CHROMIUM") or next(filter(None, found), None)
    return chosen or do_without(
        "Chromium: apt-get install chromium, or set BERTOPS_CHROMIUM", environment
    )


def do_without(what: str, environment: Mapping[str, str]) -> NoReturn:
    """End the test: it fails where a browser was promised, and is skipped elsewhere."""
    (pytest.fail if environment.get("BERTOPS_NEEDS_BROWSER") else pytest.skip)(f"needs {what}")


@pytest.mark.parametrize("name", BROWSERS)
def test_a_browser_is_found_under_each_of_its_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch(mode=0o755)
    assert find_browser({"PATH": str(tmp_path)}) == str(tmp_path / name)


def test_a_missing_browser_fails_where_it_was_promised(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="needs Chromium"):
        find_browser({"PATH": str(tmp_path)})
    with pytest.raises(pytest.fail.Exception, match="needs Chromium"):
        find_browser({"PATH": str(tmp_path), "BERTOPS_NEEDS_BROWSER": "1"})


def open_page(browser: Any, file: Path, **options: Any) -> tuple[Any, list[str], list[str]]:
    """The page, what its console said, and the addresses it asked for besides itself."""
    said: list[str] = []
    asked: list[str] = []
    page = browser.new_context(**options).new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    own = file.as_uri()
    return page, said, [url for url in asked if url != own and not url.startswith("data:")]


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Any, page_file: Path) -> None:
    _, said, asked = open_page(browser, page_file)
    assert said == []
    assert asked == []


def test_it_opens_with_the_verdict(browser: Any, page_file: Path) -> None:
    page, _, _ = open_page(browser, page_file)
    assert page.locator("h1").count() == 1
    assert page.locator("h1").inner_text() == "Refused"
    assert page.locator(".verdict").inner_text().endswith(VERDICT["sentence"])
    assert page.locator("h1").bounding_box()["y"] < 120
    assert page.get_by_role("table", name="Gates").locator("tbody").count() == 2


def test_on_a_phone_each_gate_is_read_without_scrolling_sideways(
    browser: Any, page_file: Path
) -> None:
    page, _, _ = open_page(browser, page_file, viewport={"width": 390, "height": 800})
    for gate in page.locator("table.gates tbody").all():
        answer, reason = gate.locator(".tone").bounding_box(), gate.locator(".reason")
        assert answer["x"] + answer["width"] <= 390
        assert reason.bounding_box()["x"] + reason.bounding_box()["width"] <= 390
        assert gate.bounding_box()["height"] < 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_sticks_out_sideways(
    browser: Any, page_file: Path, width: int, scheme: str
) -> None:
    page, _, _ = open_page(
        browser, page_file, viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, page_file: Path, scheme: str) -> None:
    """WCAG 2.2 AA: a contrast of 4.5 for text, in the page and in the charts."""
    page, _, _ = open_page(browser, page_file, color_scheme=scheme)
    ground = colour(page, "document.documentElement", "backgroundColor")
    texts = {
        "heading": colour(page, "document.querySelector('h1')", "color"),
        "quiet": colour(page, "document.querySelector('.quiet')", "color"),
        "tone": colour(page, "document.querySelector('.bad .tone')", "color"),
        "good": colour(page, "document.querySelector('.good .tone')", "color"),
        "link": colour(page, "document.querySelector('nav a')", "color"),
        "chart": colour(page, "document.querySelector('svg text')", "fill"),
    }
    weak = {name: c for name, c in texts.items() if contrast(c, ground) < 4.5}
    assert weak == {}


def colour(page: Any, element: str, name: str) -> tuple[int, int, int]:
    """A colour as the browser computed it."""
    value = page.evaluate(f"getComputedStyle({element}).{name}")
    red, green, blue = (int(float(x)) for x in value[value.index("(") + 1 : -1].split(",")[:3])
    return red, green, blue


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """Contrast ratio of two sRGB colours, as WCAG defines it."""

    def luminance(rgb: tuple[int, int, int]) -> float:
        linear = [c / 255 for c in rgb]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in linear]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_screen_reader_finds_its_way(browser: Any, page_file: Path) -> None:
    page, _, _ = open_page(browser, page_file)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("main").count() == 1
    for chart in page.locator("svg").all():
        assert chart.get_attribute("role") == "img"
        assert chart.locator("title").first.text_content()
        assert chart.locator("desc").first.text_content()
    named = "t => t.caption || t.closest('[aria-label]')"
    assert page.evaluate(f"[...document.querySelectorAll('table')].every({named})")
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(levels))
    doubled = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    ids = page.evaluate(doubled)
    assert len(ids) == len(set(ids))


def test_the_keyboard_reaches_everything(browser: Any, page_file: Path) -> None:
    page, _, _ = open_page(browser, page_file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    scrollers = "[...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0).length"
    assert page.evaluate(scrollers) == 0


def test_every_link_leads_somewhere(browser: Any, page_file: Path) -> None:
    page, _, _ = open_page(browser, page_file)
    lost = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash)).length"
    assert page.evaluate(lost) == 0


def test_text_from_the_data_stays_text(browser: Any, page_file: Path) -> None:
    page, said, _ = open_page(browser, page_file)
    assert page.locator("script").count() == 0
    assert "<script>alert(1)</script>" in page.locator("#corpus").text_content()
    assert said == []
