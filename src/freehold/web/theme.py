"""The two looks of every chart, as Vega-Lite configurations. Charts name styles and ranges, never colours, so one specification wears both.

Variants keep 3:1 against their background and stay apart under the three common kinds of colour blindness, in hue or in lightness
(`tests/unit/web/test_charts.py` measures both). The reference is grey: it is what the coloured variants are to replace.
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
    variants=("#636b71", "#1f6fd0", "#b85c00", "#25a866", "#471a5c", "#d070b8"),
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
    ramp=("#273033", "#1c7150"),
    unknown="#3a4347",
    variants=("#9aa3a9", "#4b83f0", "#f0a02a", "#6fdc9c", "#ad4f85", "#dcb8ff"),
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
        "range": {
            "category": list(look.variants),
            "ordinal": [readable_on(color) for color in look.variants],  # text within a bar of the same index
            "ramp": list(look.ramp),
        },
        # Vega-Lite reads a style's `color` (and `filled`) itself; what it does not read, such as `stroke` beside a fill, reaches Vega.
        "style": {
            "name": {"color": look.ink, "fontSize": 13},
            "value": {"color": look.muted, "fontSize": 13},
            "small": {"color": look.ink, "fontSize": 12},
            "inside": {"fontSize": 11, "fontWeight": "bold"},
            "track": {"color": look.track},
            "good": {"color": look.accent},
            "open": {"color": look.control},
            "allowed": {"color": look.allowed},
            "floor": {"color": look.warning, "strokeWidth": 1.5, "strokeDash": [5, 4]},
            "mark": {"color": look.ink, "thickness": 3},
            "floor-name": {"color": look.warning, "fontSize": 12},
            "interval": {"color": look.muted, "strokeWidth": 1.2},
            "policy": {"color": look.accent, "filled": True, "stroke": look.paper, "strokeWidth": 1.5, "size": 300},
            "policy-name": {"color": look.accent, "fontSize": 13, "fontWeight": "bold"},
            "family-line": {"color": look.accent, "strokeWidth": 1.5, "strokeOpacity": 0.55},
            "family": {"color": look.paper, "filled": True, "stroke": look.accent, "strokeWidth": 1.5, "size": 36},
            "family-certified": {"color": look.accent, "filled": True, "stroke": look.accent, "strokeWidth": 1.5, "size": 36},
            "variant": {"color": look.variants[1], "filled": True, "stroke": look.paper, "strokeWidth": 1, "size": 130},
            "control": {"color": look.paper, "filled": True, "stroke": look.control, "strokeWidth": 2, "size": 95},
            "edge": {"color": look.control, "filled": True, "size": 80},
            "cell": {"stroke": look.paper, "strokeWidth": 2},
            "cell-unknown": {"color": look.unknown, "stroke": look.paper, "strokeWidth": 2},
            "cell-over": {"color": look.warning, "filled": False, "strokeWidth": 2.5},
        },
    }


def readable_on(background: str) -> str:
    """White or near-black, whichever stands out more."""
    return max(("#ffffff", "#10161a"), key=lambda text: contrast(text, background))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2.2 defines it, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
