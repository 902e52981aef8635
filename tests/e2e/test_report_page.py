"""The report in a real browser: it draws, it fits, it fetches nothing, and its security policy is never violated."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import chromium
import pytest

from freehold.web.report import write_report

BINARY = chromium.find()
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on PATH or in CHROMIUM (Debian: apt-get install chromium)")

DRAWN = "document.documentElement.dataset.charts"
LUMINANCE = "(color => color.match(/[\\d.]+/g).slice(0, 3).reduce((sum, c) => sum + +c, 0) / 765)"


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """The pictures of the unit tests."""
    path = Path(__file__).parents[1] / "unit" / "web" / "pictures.py"
    spec = importlib.util.spec_from_file_location("report_pictures", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(pictures: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of a report by its picture's name, written once."""
    written: dict[str, Path] = {}

    def once(kind: str) -> Path:
        if kind not in written:
            written[kind] = write_report(getattr(pictures, kind)(), tmp_path_factory.mktemp(kind))[0]
        return written[kind]

    return once


@pytest.fixture
def tab() -> Iterator[chromium.Page]:
    with chromium.page(str(BINARY)) as opened:
        yield opened


@pytest.mark.parametrize("kind", ["picture", "bare", "in_calls", "sliced", "hostile", "crowded"])
def test_charts_are_drawn_and_nothing_is_fetched_or_violated(tab: chromium.Page, report: Callable[[str], Path], kind: str) -> None:
    """The console is silent: no policy violation, no exception, no warning. Hostile text neither runs nor opens a dialog."""
    tab.look_like(1200, 900)
    tab.open(report(kind))
    tab.wait_for(DRAWN)
    figures = tab.eval("document.querySelectorAll('figure').length")
    assert figures >= 1
    assert tab.eval(DRAWN) == str(figures)
    assert tab.eval("[...document.querySelectorAll('figure')].every(f => f.querySelector('.live svg path, .live svg text'))")
    assert tab.eval("[...document.querySelectorAll('.live svg')].every(s => s.getBoundingClientRect().height > 40)")
    assert tab.complaints() == []
    assert [url for url in tab.requests() if not url.startswith("data:")] == [report(kind).as_uri()]
    assert not [event for event in tab.events if event.get("method") == "Page.javascriptDialogOpening"]


def test_the_policy_is_in_force(tab: chromium.Page, report: Callable[[str], Path]) -> None:
    """What the page does not need is refused: the silence above is not deafness."""
    tab.open(report("bare"))
    tab.wait_for(DRAWN)
    answer = tab.call("Runtime.evaluate", expression="eval('1 + 1')", allowUnsafeEvalBlockedByCSP=False)
    assert "EvalError" in answer["exceptionDetails"]["exception"]["description"]
    tab.eval("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">x</p><img src=\"http://127.0.0.1:9/x.png\">')")
    tab.eval("(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); })()")
    assert tab.eval("window.ran") is None
    tab.eval("new Promise(done => setTimeout(done, 0))")
    told = " ".join(tab.complaints())
    assert "inline style" in told
    assert "inline script" in told
    assert "127.0.0.1" in told


@pytest.mark.parametrize("kind", ["picture", "hostile", "crowded"])
def test_the_page_fits_its_window(tab: chromium.Page, report: Callable[[str], Path], kind: str) -> None:
    """From phone to desktop, whatever the words, nothing but tables and programs scrolls sideways."""
    for width in (340, 390, 820, 1280):
        tab.look_like(width, 800)
        tab.open(report(kind))
        tab.wait_for(DRAWN)
        assert tab.eval("document.documentElement.scrollWidth") <= width
        assert tab.eval("Math.max(...[...document.querySelectorAll('.live svg')].map(s => s.getBoundingClientRect().right))") <= width


def test_in_the_dark_page_and_charts_are_dark_and_they_follow_a_change(tab: chromium.Page, report: Callable[[str], Path]) -> None:
    background = f"{LUMINANCE}(getComputedStyle(document.body).backgroundColor)"
    name = f"{LUMINANCE}(getComputedStyle(document.querySelector('#chart-traffic svg text')).fill)"
    tab.look_like(1200, 900, dark=True)
    tab.open(report("picture"))
    tab.wait_for(DRAWN)
    assert tab.eval(background) < 0.15
    assert tab.eval(name) > 0.8
    tab.look_like(1200, 900, dark=False)
    tab.wait_for(f"document.querySelector('#chart-traffic svg text') && {name} < 0.3")
    assert tab.eval(background) > 0.9
    assert tab.complaints() == []


def test_pointing_at_a_mark_shows_its_numbers(tab: chromium.Page, report: Callable[[str], Path]) -> None:
    tab.look_like(1200, 900)
    tab.open(report("picture"))
    tab.wait_for(DRAWN)
    tab.eval("document.querySelector('#chart-frontier').scrollIntoView({block: 'center', behavior: 'instant'})")
    tab.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # scrolling hides what was shown before
    where = "[...document.querySelectorAll('#chart-frontier svg [aria-roledescription=point]')].at(-1).getBoundingClientRect()"
    x, y = tab.eval(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({where})")
    tab.hover(x, y)
    tab.wait_for("!document.getElementById('tip').hidden")
    told = tab.eval("document.getElementById('tip').innerText").replace("\u00a0", " ")
    assert "policy" in told
    assert "58.1 %" in told
    assert "2.57 points" in told
    tab.hover(2, 2)
    tab.wait_for("document.getElementById('tip').hidden")


def test_on_paper_the_stills_stand_in_for_the_charts(tab: chromium.Page, report: Callable[[str], Path]) -> None:
    tab.open(report("picture"))
    tab.wait_for(DRAWN)
    tab.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert tab.eval("[...document.querySelectorAll('.still')].every(i => i.naturalWidth > 300 && i.checkVisibility())")
    assert not tab.eval("[...document.querySelectorAll('.live')].some(i => i.checkVisibility())")
    assert tab.eval(f"{LUMINANCE}(getComputedStyle(document.body).backgroundColor)") == 1
    assert tab.eval(f"{LUMINANCE}(getComputedStyle(document.body).color)") < 0.3


def test_without_scripts_the_stills_are_shown(tab: chromium.Page, report: Callable[[str], Path]) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.call("Page.navigate", url=report("picture").as_uri())
    seen = "document.readyState === 'complete' && [...document.querySelectorAll('.still')].map(i => i.naturalWidth > 300 && i.checkVisibility())"
    while not (shown := tab.eval(seen)):  # the page cannot tell us when it is ready
        pass
    assert shown == [True] * 6
    assert tab.eval(DRAWN) is None


def test_everything_that_opens_or_scrolls_is_reached_with_tab(tab: chromium.Page, report: Callable[[str], Path]) -> None:
    tab.open(report("picture"))
    tab.wait_for(DRAWN)
    stops = "[...document.querySelectorAll('a, summary, pre, .scroll')].filter(e => e.checkVisibility())"
    wanted, reached = tab.eval(f"{stops}.length"), set()
    for _ in range(wanted):
        for kind in ("keyDown", "keyUp"):
            tab.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.add(tab.eval(f"{stops}.indexOf(document.activeElement)"))
    assert reached == set(range(wanted))
    assert wanted > 10
