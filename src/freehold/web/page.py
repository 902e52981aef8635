"""Puts one page into one file: everything inlined, nothing fetched, and a Content-Security-Policy that allows exactly what is in it.

The policy names each inlined block by its hash and has neither `unsafe-inline` nor `unsafe-eval`. Vega compiles expressions to JavaScript
by default; `report.js` has it interpret their syntax trees instead, with the interpreter that Vega-Embed carries in vl-convert's bundle.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

_HERE = "freehold.web"
PARTS = "parts.html.jinja"
"""What the templates of pages share: tables, and charts with their numbers."""


def render(template: str, values: Mapping[str, Any], *, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The page. Values are escaped where the template puts them; styles and scripts are ours, and go in as they are."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    blocks = {"styles": [Markup(inlined(style)) for style in styles], "scripts": [Markup(inlined(script)) for script in scripts]}  # noqa: S704
    return environment.from_string(resource(PARTS) + resource(template)).render(**values, **blocks, policy=security_policy(styles, scripts))


def security_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The Content-Security-Policy of a page with these blocks and no others."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {' '.join(map(sha256, styles))}",
            f"script-src {' '.join(map(sha256, scripts))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def sha256(block: str) -> str:
    """A block's hash as a CSP source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"


def inlined(block: str) -> str:
    """The block, if a browser will read it back unchanged."""
    lower = block.lower()
    assert not any(end in lower for end in ("</script", "</style", "<!--", "\r")), "a block would not survive in HTML as it is"
    return block


def as_json(value: Any) -> str:
    """JSON that can stand in a script element: ASCII only, and no character that HTML reads."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_url(svg: str) -> str:
    """An SVG picture as an address."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@cache
def vega() -> str:
    """Vega-Embed, with Vega, Vega-Lite and everything they build on, as one script. It takes seconds, so it is made once in a process."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle


def resource(name: str) -> str:
    """A text file that stands beside this one."""
    return files(_HERE).joinpath(name).read_text(encoding="utf-8")
