"""The two looks of every chart, as Vega-Lite configurations. Charts name styles and ranges, never colours, so one specification wears both.

Hues are Okabe and Ito's, shifted until each holds 3:1 against its background and all stay apart under the three common kinds of colour
blindness (`tests/unit/web/test_theme.py` measures both). The reference is grey: it is what the coloured variants are to replace.
"""

from typing import Any, NamedTuple

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Helvetica, Arial, sans-serif"
PNG_FONT = "Liberation Sans, Arial, sans-serif"
"""vl-convert ships Liberation Sans, so that a PNG looks the same on a machine without fonts."""


class Look(NamedTuple):
    """The colours of one scheme."""

    paper: str
    ink: str
    muted: str
    grid: str
    track: str
    accent: str
    control: str
    warning: str
    allowed: str
    ramp: tuple[str, str]
    unknown: str
    variants: tuple[str, ...]


LIGHT = Look(
    paper="#ffffff",
    ink="#1c2422",
    muted="#5c6663",
    grid="#e4e6e1",
    track="#eceeea",
    accent="#00775a",
    control="#8a5a00",
    warning="#c04a00",
    allowed="#e3f1ea",
    ramp=("#f3f4ef", "#7cc9a5"),
    unknown="#dfe2e0",
    variants=("#737b83", "#0067a8", "#d98200", "#00906b", "#b5478d", "#4f9fd6", "#c04a00", "#6b5a00"),
)

DARK = Look(
    paper="#1a2023",
    ink="#e9ebe6",
    muted="#a4aeab",
    grid="#313a3d",
    track="#2a3235",
    accent="#4fc99a",
    control="#e0b04c",
    warning="#f08a4b",
    allowed="#1d322c",
    ramp=("#273033", "#1f7a57"),
    unknown="#3a4347",
    variants=("#8f99a1", "#3f9be0", "#f0a93a", "#2fbf92", "#dd85bb", "#9ccdf0", "#ea6a35", "#c9b45a"),
)


def config(look: Look, font: str = FONT, background: str = "transparent") -> dict[str, Any]:
    """The Vega-Lite configuration of a look."""
    return {
        "background": background,
        "font": font,
        "padding": 2,
        "view": {"stroke": None},
        "axis": {
            "labelColor": look.muted,
            "titleColor": look.muted,
            "gridColor": look.grid,
            "domainColor": look.grid,
            "tickColor": look.grid,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 10,
            "labelPadding": 6,
        },
        "legend": {"labelColor": look.ink, "labelFontSize": 12, "symbolType": "square", "symbolSize": 110, "columnPadding": 14},
        "title": {
            "color": look.ink,
            "subtitleColor": look.muted,
            "fontSize": 18,
            "subtitleFontSize": 12,
            "subtitlePadding": 6,
            "anchor": "start",
            "frame": "bounds",
            "offset": 18,
        },
        "range": {"category": list(look.variants), "ramp": list(look.ramp)},
        "style": {
            "name": {"fill": look.ink, "fontSize": 13},
            "value": {"fill": look.muted, "fontSize": 13},
            "small": {"fill": look.ink, "fontSize": 12},
            "inside": {"fill": look.paper, "fontSize": 11, "fontWeight": "bold"},
            "track": {"fill": look.track},
            "good": {"fill": look.accent},
            "open": {"fill": look.control},
            "allowed": {"fill": look.allowed},
            "floor": {"stroke": look.warning, "strokeWidth": 1.5, "strokeDash": [5, 4]},
            "floor-name": {"fill": look.warning, "fontSize": 12},
            "interval": {"stroke": look.muted, "strokeWidth": 1.2},
            "policy": {"fill": look.accent, "stroke": look.paper, "strokeWidth": 1.5, "size": 260},
            "policy-name": {"fill": look.accent, "fontSize": 13, "fontWeight": "bold"},
            "family-line": {"stroke": look.accent, "strokeWidth": 1.5, "opacity": 0.55},
            "family": {"fill": look.paper, "stroke": look.accent, "strokeWidth": 1.5, "size": 40},
            "family-certified": {"fill": look.accent, "stroke": look.accent, "strokeWidth": 1.5, "size": 40},
            "variant": {"fill": look.variants[1], "stroke": look.paper, "strokeWidth": 1, "size": 110},
            "control": {"fill": look.paper, "stroke": look.control, "strokeWidth": 2, "size": 95},
            "cell": {"stroke": look.paper, "strokeWidth": 2},
            "cell-unknown": {"fill": look.unknown, "stroke": look.paper, "strokeWidth": 2},
            "cell-over": {"fill": None, "stroke": look.warning, "strokeWidth": 2.5},
        },
    }
