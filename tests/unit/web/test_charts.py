"""Charts of a report: what they show, that they compile, and that everybody can read them."""

import itertools
import json

import numpy as np
import pictures
import pytest
import vl_convert

from freehold.promotion.picture import Picture, Point, Region
from freehold.web import charts, theme
from freehold.web.frontier import drawn_points, frame_of, frontier, undrawn
from freehold.web.labels import Anchor, Box, place
from freehold.web.report import drawable
from freehold.web.treemap import squarify

EVERY_KIND = ("picture", "bare", "in_calls", "sliced", "hostile", "crowded")


def by_name(picture: Picture) -> dict[str, charts.Figure]:
    return {figure.name: figure for figure in charts.figures(picture)}


def values(figure: charts.Figure) -> list[dict]:
    """Every row a chart draws."""
    return [row for layer in figure.spec["layer"] for row in layer["data"]["values"]]


def made(kind: str) -> Picture:
    """A picture by its name, its texts fit to be drawn as a report has them."""
    return drawable(getattr(pictures, kind)())


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_chart_is_vega_lite_that_compiles(kind: str) -> None:
    """The specification needs nothing but a width, and holds no address to load."""
    for figure in charts.figures(made(kind)):
        vega = vl_convert.vegalite_to_vega(figure.spec | {"width": 400}, config=theme.config(theme.LIGHT))
        assert vega["marks"], figure.name
        assert "url" not in json.dumps([data for data in vega["data"] if "url" in data])


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_chart_has_words_and_a_table_for_who_cannot_see_it(kind: str) -> None:
    for figure in charts.figures(made(kind)):
        assert figure.alt
        assert figure.rows
        assert all(len(row) == len(figure.head) for row in figure.rows)


def test_a_chart_without_data_is_not_made() -> None:
    assert set(by_name(pictures.bare())) == {"traffic"}


def test_unknown_numbers_are_called_unknown_in_the_tables() -> None:
    """Costs nobody knows and labels nobody gave are not zero."""
    rows = {row[0]: row for row in by_name(pictures.picture())["regions"].rows}
    assert rows["close account"][3:7] == ("unknown", "unknown", "unknown", "unknown")
    assert {row[-1] for row in by_name(pictures.in_calls())["frontier"].rows} == {"unknown"}


def test_the_frontier_shows_the_policy_its_family_the_variants_and_all_four_controls() -> None:
    rows = by_name(pictures.picture())["frontier"].rows
    assert [row[0] for row in rows[:5]] == ["policy", "all cheapest (head)", "all frontier", "shuffled", "oracle"]
    assert rows[0][2:5] == ("58.1\u00a0%", "2.57\u00a0points", "0.7–4.45 points")
    assert sum(row[1].startswith("same family") for row in rows) == 7


def test_a_variant_that_is_a_control_is_one_point_with_both_names() -> None:
    labels = [point.label for point in drawn_points(pictures.picture())]
    assert "all_cheapest (head)" in labels
    assert "head" not in labels
    assert "frontier" not in labels


def test_a_point_whose_saving_is_unknown_is_named_beside_the_chart() -> None:
    blind = Point(label="unpriced", kind="variant", saving=None, loss=0.1, quality=None, cost_usd_per_1k=None)
    picture = pictures.picture(points=(*pictures.points(), blind))
    assert [point.label for point in undrawn(picture)] == ["unpriced"]
    assert "unpriced" not in json.dumps(frontier(picture).spec)


def test_a_terrible_control_does_not_squeeze_the_decision_out_of_sight() -> None:
    """A point far below the floor is drawn at the edge, as an arrow with its number."""
    terrible = Point(label="all_cheapest", kind="control", saving=0.99, loss=0.8, quality=0.1, cost_usd_per_1k=0.01)
    picture = pictures.picture(points=(*pictures.points()[:8], terrible))
    assert frame_of(drawn_points(picture), 0.05).y[1] < 0.25
    row = next(row for row in values(frontier(picture)) if row.get("label") == "all cheapest")
    assert (row["shape"], row["text"]) == ("triangle-down", "all cheapest: 80\u00a0points lost")


def test_of_the_family_beyond_the_edge_only_the_line_goes_on() -> None:
    far = Point(label="threshold 9", kind="family", saving=0.99, loss=0.8, quality=None, cost_usd_per_1k=None)
    rows = [row for row in values(frontier(pictures.picture(points=(*pictures.points(), far)))) if row.get("label") == "threshold 9"]
    assert [(row["style"], row["loss"]) for row in rows] == [("", 80.0)]


def test_costs_unknown_the_axis_speaks_of_calls() -> None:
    assert "Calls that need no frontier" in json.dumps(by_name(pictures.in_calls())["frontier"].spec)


def test_of_many_regions_the_largest_twenty_are_shown() -> None:
    figure = by_name(pictures.crowded())["regions"]
    assert [row[0] for row in figure.rows] == [f"region {i:03d}" for i in range(20)]


def test_of_many_variants_the_least_used_share_a_colour() -> None:
    picture = pictures.crowded()
    order = charts.variants(picture)
    assert (order[0], len(order), order[-1]) == ("frontier", charts.MOST_VARIANTS, "7 others")
    assert sum(charts.fold(picture.certificate.share, order).values()) == pytest.approx(1.0)
    assert len(by_name(picture)["traffic"].rows) == 12


def test_a_region_that_loses_more_than_the_floor_is_outlined_and_named() -> None:
    figure = by_name(pictures.picture())["regions"]
    assert [row["name"] for row in values(figure) if row.get("is_over")][:1] == ["verify, identity, passport"]
    assert "above the floor in: verify, identity, passport." in figure.alt


def test_labels_say_which_floors_are_within_reach() -> None:
    rows = by_name(pictures.picture())["labels"].rows
    assert rows[0] == ("5\u00a0points", "73", "183", "enough here")
    assert rows[-1] == ("0.5\u00a0points", "1,212", "3,030", "354 short")


def test_floors_call_an_estimate_an_estimate() -> None:
    guess = pictures.estimate()
    figure = by_name(pictures.picture(guess, beside=(pictures.estimate(max_loss=0.02),)))["floors"]
    assert {row[1] for row in figure.rows} == {"estimate"}
    assert "certified" not in figure.alt


def test_one_certificate_needs_no_comparison_of_floors() -> None:
    assert "floors" not in by_name(pictures.picture(beside=()))


def test_shares_of_a_region_lie_end_to_end() -> None:
    segments = [row for row in values(by_name(pictures.picture())["traffic-by-region"]) if "x2" in row]
    for _, parts in itertools.groupby(segments, key=lambda row: row["region"]):
        ends = [(part["x"], part["x2"]) for part in parts]
        assert ends[0][0] == 0
        assert all(one[1] == pytest.approx(other[0]) for one, other in itertools.pairwise(ends))
        assert ends[-1][1] == pytest.approx(1.0)


def test_no_share_means_no_tile() -> None:
    empty = Region(
        name="gone", n=0, share=0.0, share_by_variant={}, loss=None, quality_reference=None, cost_usd_per_1k=None, saving=None, example=""
    )
    assert "regions" not in by_name(pictures.picture(regions=(empty,)))


# Room for names and tiles


def test_names_lie_on_no_other_name_and_stay_inside() -> None:
    """200 seeded sets of 12 points: whatever is shown has room."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        anchors = [Anchor(rng.uniform(0, 600), rng.uniform(0, 300), "n" * int(rng.integers(3, 26))) for _ in range(12)]
        boxes = []
        for anchor, spot in zip(anchors, place(anchors, 600, 300), strict=True):
            if spot.shown:
                wide = 6.0 * len(anchor.text)
                left = anchor.x + spot.dx - {"left": 0, "right": wide, "center": wide / 2}[spot.align]
                boxes.append(Box(left, anchor.y + spot.dy - 6, left + wide, anchor.y + spot.dy + 6))
        assert all(min(box.x0, box.y0) >= 0 and box.x1 <= 600 and box.y1 <= 300 for box in boxes)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_a_name_without_room_is_not_shown() -> None:
    assert [spot.shown for spot in place([Anchor(20, 20, "much too long for this")], 40, 40)] == [False]


@pytest.mark.parametrize("weights", [[1.0], [5, 3, 1], [1] * 20, [0.9, 1e-9], list(range(40, 0, -1))])
def test_tiles_have_their_areas_and_fill_the_map(weights: list[float]) -> None:
    tiles = squarify(weights, 760, 430)
    areas = [(tile.x1 - tile.x0) * (tile.y1 - tile.y0) for tile in tiles]
    assert areas == pytest.approx([weight / sum(weights) for weight in weights], abs=1e-9)
    inside = [Box(tile.x0 + 1e-7, tile.y0 + 1e-7, tile.x1 - 1e-7, tile.y1 - 1e-7) for tile in tiles if tile.x1 - tile.x0 > 1e-6]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(inside, 2))
    assert all(-1e-9 <= edge <= 1 + 1e-9 for tile in tiles for edge in tile)


# Colours for everybody


LOOKS = pytest.mark.parametrize("look", [theme.LIGHT, theme.DARK], ids=["light", "dark"])

# Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB.
SIGHT = {
    "all cones": np.eye(3),
    "no red cones": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "no green cones": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "no blue cones": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
# Ottosson (2020), linear RGB to Oklab.
CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
)
OKLAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
)


def seen(color: str, sight: np.ndarray) -> np.ndarray:
    """The colour in Oklab, as somebody with this sight sees it."""
    c = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return OKLAB @ np.cbrt(np.clip(CONES @ np.clip(sight @ linear, 0, 1), 0, None))


@LOOKS
@pytest.mark.parametrize("sight", SIGHT)
def test_variants_stay_apart_for_every_kind_of_sight(look: theme.Look, sight: str) -> None:
    """Oklab distances of at least 0.09; neighbours in a bar also carry their numbers."""
    for one, other in itertools.combinations(look.variants, 2):
        assert np.linalg.norm(seen(one, SIGHT[sight]) - seen(other, SIGHT[sight])) >= 0.09, (one, other)


@LOOKS
def test_marks_and_texts_stand_out_from_the_page(look: theme.Look) -> None:
    """WCAG 2.2 AA: 3:1 for what is drawn, 4.5:1 for what is read."""
    assert all(theme.contrast(color, look.paper) >= 3 for color in (*look.variants, look.accent, look.control, look.warning))
    assert all(theme.contrast(color, look.paper) >= 4.5 for color in (look.ink, look.muted, look.accent, look.warning))
    assert all(theme.contrast(look.ink, color) >= 4.5 for color in (*look.ramp, look.unknown, look.allowed))
    assert all(theme.contrast(theme.readable_on(color), color) >= 4.5 for color in look.variants)


def test_both_looks_name_the_same_styles() -> None:
    """A chart never names a style that one of them lacks."""
    light, dark = theme.config(theme.LIGHT)["style"], theme.config(theme.DARK)["style"]
    assert light.keys() == dark.keys()
    for figure in charts.figures(pictures.picture()):
        used = {layer["mark"].get("style") for layer in figure.spec["layer"]} - {None}
        assert used <= light.keys()
