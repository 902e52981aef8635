"""The report page: what it says in every case, and that it is one file that nothing can be smuggled into."""

import base64
import hashlib
import html
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pictures
import pytest
import vl_convert

from freehold.errors import OperatorError
from freehold.promotion.picture import Picture
from freehold.web import charts, page, words
from freehold.web.report import CHARTS, drawable, render, write_report

NBSP = "\u00a0"


class Read(HTMLParser):
    """The page as a browser would read it: elements, attributes, visible text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).replace(NBSP, " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)
        if tag in ("script", "style"):
            self.blocks.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            tag, so_far = self.blocks[-1]
            self.blocks[-1] = (tag, so_far + data)
        else:
            self.words.append(data)

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def read() -> Callable[[Picture], Read]:
    """Reads a picture's page, which is made once for equal pictures."""
    pages: dict[str, Read] = {}

    def once(picture: Picture) -> Read:
        key = repr(picture)
        if key not in pages:
            fit = drawable(picture)
            pages[key] = Read(render(fit, charts.figures(fit)))
        return pages[key]

    return once


# What it says


def test_a_certified_policy_leads_with_saving_floor_and_confidence(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture()).text
    assert "Certified triage can cost 58.7 % less" in text
    assert "Certified with 95 % confidence: on traffic like this, the policy loses at most 5 points of “correct” against frontier." in text
    assert "5 points the labels’ bound is 4.63 points" in text
    assert "$0.49 instead of $1.19" in text


def test_the_sections_come_in_their_order(read: Callable[[Picture], Read]) -> None:
    ids = [section["id"] for section in read(pictures.sliced()).having("section")]
    shown = "evidence policy frontier traffic regions still labels controls slices left-out beside verify notes"
    assert ids == shown.split()


def test_it_says_what_a_certificate_does_not(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture()).text
    assert "It speaks of calls exchangeable with the ones it was measured on" in text
    assert "Anything that “correct” does not measure" in text
    assert "where frontier is wrong, the policy may be wrong as often" in text


def test_a_simulation_is_announced_at_the_top_and_in_the_notes(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture()).text
    assert text.count("are simulated") == 2
    assert text.index("are simulated") < text.index("What the certificate says")


def test_an_estimate_is_called_an_estimate_and_never_a_certificate(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture(pictures.estimate(), beside=())).text
    assert "Estimate triage might cost 58.7 % less" in text
    assert "Confidence none an estimate claims none" in text
    told = text.replace("An estimate, not a certificate", "").replace("No certificate was issued", "")
    assert "certificate" not in told.lower().split("licences of the chart software")[0].replace("certificates/triage-c3f8a1d0b2.json", "")
    assert "certified" not in told.lower()


def test_of_mixed_labels_only_some_were_found(read: Callable[[Picture], Read]) -> None:
    assert "some of these labels were found" in read(pictures.picture(pictures.estimate(label_design="mixed"))).text


def test_where_nothing_is_proven_it_says_what_is_missing(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture(pictures.not_certified(), beside=())).text
    assert "Not certified Nothing cheaper is proven for triage yet" in text
    assert "About 212 more labelled items should be enough for a proof." in text
    assert "No certificate was issued, so there is none to verify." in text


def test_where_no_number_of_labels_would_do_it_says_so(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture(pictures.not_certified(labels_needed=None))).text
    assert "No number of further labels is expected to prove it" in text


def test_costs_unknown_a_saving_is_a_share_of_calls(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.in_calls()).text
    assert "68.2 % of triage’s calls need no frontier" in text
    assert "costs are unknown" in text
    assert "Cost per 1,000 calls unknown instead of unknown" in text
    assert "what they cost is unknown" in text
    assert "Quality on the calibration items: unknown under the policy, unknown at frontier." in text
    assert "Cost unknown, so neither priced nor guessed: cheap , head ." in text
    assert "legacy : fewer than half of the items have its answer" in text


def test_as_little_as_there_can_be_is_still_a_page(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.bare()).text
    assert "Unknown: there are no test items to draw it from." in text
    assert "No regions were found in this traffic." in text
    assert "all cheapest unknown unknown unknown" in text
    assert "Every item could be paired." in text


def test_slices_have_their_bounds_and_the_worst_is_named(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.sliced()).text
    assert "the worst is tier = basic" in text
    assert "tier = basic (the worst) certified 4.87 points 63 % 401 in 111 groups" in text
    assert "tier = critical frontier answers: 9 groups; 73 are needed" in text
    assert "This was attempt 3 on the same data" in text
    assert "(240 independent groups)" in text


def test_items_left_out_are_counted_and_compared(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture()).text
    assert "57 items could not be paired" in text
    assert "They differ from the items that were kept: chars +0.41 standard deviations" in text
    assert "digits" not in text


def test_other_floors_stand_beside(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.picture()).text
    assert "floor 2 points certified 1.91 points 27.1 % $0.87 none" in text
    assert "floor 1 point not certified 1.42 points 0 % $1.19 310" in text


def test_of_two_hundred_regions_it_says_that_twenty_are_shown(read: Callable[[Picture], Read]) -> None:
    assert "The 20 largest of 200 regions are shown; the others hold 81 % of calls." in read(pictures.crowded()).text


def test_it_says_how_to_verify(read: Callable[[Picture], Read]) -> None:
    odd = pictures.certificate(certificate="my certificates/it's one.json")
    assert "freehold verify 'my certificates/it'\"'\"'s one.json'" in read(pictures.picture(odd)).text


def test_content_that_is_not_kept_is_not_quoted(read: Callable[[Picture], Read]) -> None:
    still = tuple(msgspec.structs.replace(need, text="") for need in pictures.picture().still)
    assert "(the content is not kept)" in read(pictures.picture(still=still)).text


# That it is one safe file


def test_the_page_and_a_png_of_each_chart_are_written(tmp_path: Path) -> None:
    written = write_report(pictures.picture(), tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["report.html", *(f"report-{name}.png" for name in CHARTS)]
    for path in written[1:]:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert data.endswith(b"IEND\xaeB`\x82")
        width, height = struct.unpack(">II", data[16:24])
        assert width >= 1000
        assert height >= 200


def test_a_chart_of_an_earlier_report_does_not_outlive_it(tmp_path: Path) -> None:
    (tmp_path / "report-mine.png").write_bytes(b"")
    write_report(pictures.picture(), tmp_path)
    write_report(pictures.bare(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report-mine.png", "report-traffic.png", "report.html"]


def test_a_folder_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OperatorError, match="Cannot write the report into"):
        write_report(pictures.bare(), tmp_path / "taken")


def test_its_security_policy_names_exactly_its_own_blocks(read: Callable[[Picture], Read]) -> None:
    report = read(pictures.picture())
    metas = [meta["content"] or "" for meta in report.having("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    (policy,) = metas
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    hashed = {f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'" for block in _run(report)}
    assert set(re.findall(r"'sha256-[^']+'", policy)) == hashed
    assert len(hashed) == 3


def test_the_chart_software_is_inlined_once_with_its_licences(read: Callable[[Picture], Read]) -> None:
    report = read(pictures.picture())
    assert sum("vega-lite" in block and len(block) > 500_000 for _, block in report.blocks) == 1
    for package in ("vega,", "vega-lite (BSD-3-Clause)", "vega-embed (BSD-3-Clause)", "d3-array,", "fast-json-patch (MIT)"):
        assert package in report.text
    assert "Copyright (c) 2015-2023, University of Washington Interactive Data Lab" in report.text


def test_the_licences_are_those_of_the_bundle_that_is_installed() -> None:
    """When this fails, vl-convert has moved on: gather the licences of its Vega again into `web/licences.txt`."""
    versions = (vl_convert.get_vega_version(), vl_convert.get_vegalite_versions()[-1], vl_convert.get_vega_embed_version())
    first = page.resource("licences.txt").splitlines()[0]
    assert re.findall(r"\d+\.\d+", first) == [".".join(version.split(".")[:2]) for version in versions]


def test_nothing_on_the_page_has_an_address(read: Callable[[Picture], Read]) -> None:
    """Links within the page and data addresses only; the browser's own word on it is in `tests/e2e`."""
    report = read(pictures.picture())
    addresses = [value for _, attrs in report.tags for name, value in attrs.items() if name in ("src", "href", "srcset", "action", "data")]
    assert addresses
    assert all(value and value.startswith(("data:", "#")) for value in addresses)


def test_no_element_has_an_inline_style_or_handler(read: Callable[[Picture], Read]) -> None:
    for kind in (pictures.picture, pictures.hostile):
        assert not [name for _, attrs in read(kind()).tags for name in attrs if name == "style" or name.startswith("on")]


def test_what_users_wrote_stays_text(read: Callable[[Picture], Read]) -> None:
    """Names, inputs and notes that try to be markup, template or script are shown as they are."""
    plain, hostile = read(pictures.sliced()), read(pictures.hostile())
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in plain.tags}
    assert [tag for tag, _ in hostile.blocks] == ["style", "script", "script", "script"]
    assert _run(hostile) == _run(plain)
    assert pictures.HOSTILE in html.unescape(hostile.text)
    assert "49" not in hostile.text.split("onerror")[1][:30]


def test_characters_that_cannot_be_drawn_are_left_out(read: Callable[[Picture], Read]) -> None:
    text = read(pictures.hostile()).text
    assert "nul bell broken ?" in text
    assert "\x00" not in text


def test_a_name_from_right_to_left_cannot_turn_the_sentence() -> None:
    assert words.name("שלום") == "\u2068שלום\u2069"
    assert words.name("frontier") == "frontier"


def test_headings_do_not_skip_levels_and_there_is_one_title(read: Callable[[Picture], Read]) -> None:
    levels = [int(tag[1]) for tag, _ in read(pictures.sliced()).tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_chart_has_words_a_still_and_its_numbers(read: Callable[[Picture], Read]) -> None:
    report = read(pictures.picture())
    lives = [div for div in report.having("div") if div.get("role") == "img"]
    stills = report.having("img")
    assert [div["id"] for div in lives] == [f"chart-{name}" for name in CHARTS]
    assert all(div["aria-label"] for div in lives)
    assert [still["alt"] for still in stills] == [div["aria-label"] for div in lives]
    assert len(report.having("figure")) == len(lives) == len(report.having("details")) - 1


def test_what_scrolls_can_be_reached_with_the_keyboard(read: Callable[[Picture], Read]) -> None:
    report = read(pictures.picture())
    assert all(pre.get("tabindex") == "0" for pre in report.having("pre"))
    assert all(div.get("tabindex") == "0" and div.get("aria-label") for div in report.having("div") if div.get("class") == "scroll")


def test_a_block_that_html_would_cut_short_is_refused() -> None:
    with pytest.raises(AssertionError):
        page.inlined("let x = '</script>';")


def test_json_in_the_page_cannot_end_its_script() -> None:
    assert page.as_json({"a": "</script>&\u2028"}) == '{"a":"\\u003c/script\\u003e\\u0026\\u2028"}'


def test_importing_the_stage_costs_nothing() -> None:
    """Altair, vl-convert and Jinja are loaded when a report is written, not before."""
    heavy = "{'altair', 'vl_convert', 'jinja2', 'pandas', 'sklearn'}"
    code = f"import sys, freehold.web.report; assert not {heavy} & sys.modules.keys(), {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


# Numbers in words


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (words.percent(0.463), "46.3 %"),
        (words.percent(-0.004), "−0.4 %"),
        (words.percent(-0.0001), "0 %"),
        (words.percent(1.0), "100 %"),
        (words.percent(None), "unknown"),
        (words.points(0.01), "1 point"),
        (words.points(0.05), "5 points"),
        (words.points(0.0504), "5.04 points"),
        (words.points(None), "unknown"),
        (words.quality(0.9042), "90.4 of 100"),
        (words.quality(None), "unknown"),
        (words.dollars(0.0), "$0.00"),
        (words.dollars(1234.5), "$1,234.50"),
        (words.dollars(0.0123), "$0.012"),
        (words.dollars(0.00000123), "$1.2e-06"),
        (words.dollars(None), "unknown"),
        (words.count(1, "item"), "1 item"),
        (words.count(1234, "item"), "1,234 items"),
        (words.shorten("one\n two   three", 9), "one two…"),
    ],
)
def test_numbers_are_said_plainly(said: str, meant: str) -> None:
    assert said.replace(NBSP, " ") == meant


def _run(report: Read) -> list[str]:
    """The blocks a browser applies or runs; the chart data is neither."""
    scripts = iter(report.having("script"))
    return [block for tag, block in report.blocks if tag == "style" or next(scripts).get("type") != "application/json"]
