"""The README of a released specialist: what it is, how good it is, what it was made of, and what to know before using it."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from freehold.datasets.export import Exported
from freehold.datasets.versions import Manifest
from freehold.feedback.agreement import Estimate
from freehold.feedback.annotation import Annotation, Round
from freehold.promotion.certificate import Certificate
from freehold.variants.card import Card

_LICENCES = {name.lower() for name in ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "odbl", "gpl-3.0")}
_OPENNESS = {"open": "open: weights, data and code", "weights": "its weights alone", "closed": "a service", "none": "no base"}


class Model(NamedTuple):
    """What a README tells of."""

    card: Card
    level: str
    """How much of its data leaves with it: full, redacted, statistics."""
    instruction: str
    """What its task asks, in words."""
    manifest: Manifest | None
    """The data set it learnt from; None where that is gone."""
    exported: Exported | None
    """What of that leaves with it."""
    annotation: Annotation
    certificate: Certificate | None
    source: str
    """The program it is, of one that was written; empty for others."""
    extra: tuple[str, ...] = ()
    """Further files that stand beside it."""


def readme(model: Model) -> str:
    """The page, with the header that Hugging Face reads."""
    lines = ["---", *_header(model), "---", "", f"# {model.card.name}", "", _about(model), ""]
    for part in (_quality, _kept, _data, _training, _annotation, _proof, _use, _cautions):
        lines += part(model)
    return "\n".join(lines).rstrip() + "\n"


def _header(model: Model) -> list[str]:
    """YAML, written as JSON values, which are YAML, too."""
    card = model.card
    licence = (card.licence or "").lower()
    lines = [f"license: {licence if licence in _LICENCES else 'other'}"]
    lines += [f"license_name: {_yaml(card.licence)}"] if card.licence and licence not in _LICENCES else []
    codes = sorted(code for code in (model.manifest.languages if model.manifest else {}) if code != "und")
    lines += [f"language: {_yaml(codes)}"] if codes else []
    lines += [f"base_model: {_yaml(card.base.name)}"] if card.base else []
    return [*lines, f"tags: {_yaml(list(dict.fromkeys(['freehold', card.format, card.plan.method])))}"]


def _about(model: Model) -> str:
    card = model.card
    asks = f" It asks: {model.instruction.strip()}" if model.instruction.strip() else ""
    instead = f", there to take calls from '{card.replaces}'" if card.replaces else ""
    return (
        f"A specialist for the task '{card.task}'{instead}, trained by the method '{card.plan.method}' with Freehold {card.plan.code} on "
        f"{card.created_at:%Y-%m-%d}. Its hash is {card.hash}.{asks}"
    )


def _quality(model: Model) -> list[str]:
    tested = model.card.tested
    if tested is None:
        return ["## How good it is", "", "It was not tested here.", ""]
    rows = [(m.name, f"{m.mean:.3f}", f"{m.low:.3f} to {m.high:.3f}", f"{m.n:,} rows in {m.groups:,} groups") for m in tested.measures]
    lines = ["## How good it is", "", "On test rows that nothing was chosen by:", ""]
    lines += _table(("measure", "mean", "95 % interval", "of"), rows)
    if tested.covered:
        lines += ["Where it is sure, its confidence chosen on other rows:", ""]
        covered = [
            (f"{c.precision:.0%}", f"{c.confidence:.3f}", f"{c.coverage:.1%}", _share(c.precise), f"{c.low:.1%}") for c in tested.covered
        ]
        lines += _table(("aimed at", "confidence from", "answers", "right of those", "at least (95 %)"), covered)
    error = "" if tested.calibration_error is None else f", its confidence is off by {tested.calibration_error:.3f} on average"
    took = f", and took {tested.us_per_row:,.0f} microseconds each" if tested.us_per_row else ""
    return [*lines, f"It answered {tested.answered:.1%} of them{error}{took}.", ""]


def _kept(model: Model) -> list[str]:
    """The forgetting matrix."""
    if not model.card.kept:
        return []
    rows = [(k.name, f"{k.n:,}", f"{k.before:.3f}", f"{k.after:.3f}", f"{k.low:+.3f} to {k.high:+.3f}") for k in model.card.kept]
    before = f"It goes on from '{model.card.plan.continues}'. " if model.card.plan.continues else ""
    lines = ["## What it kept", "", f"{before}What that knew of earlier data, and what this one still does; rows paired:", ""]
    return [*lines, *_table(("earlier data or region", "rows", "before", "after", "difference (95 %)"), rows)]


def _data(model: Model) -> list[str]:
    card, manifest, exported = model.card, model.manifest, model.exported
    learnt = ", ".join(f"{n:,} {part}" for part, n in card.rows.items()) or "an unknown number of rows"
    lines = ["## What it was made of", "", f"Rows: {learnt}, of the data set {card.plan.dataset}."]
    if manifest is None:
        lines.append("That data set is no longer there, and nothing of it is here.")
    elif model.level == "statistics":
        lines.append("No row of it is here; `data/` tells what may be told without any.")
    else:
        here = ", ".join(f"{n:,} {part}" for part, n in (exported.rows if exported else {}).items()) or "none"
        told = "with all they came from" if model.level == "full" else "questions and answers alone"
        lines.append(f"Here, in `data/`, {told}: {here}. Its own card is there, too, also as Croissant.")
        stayed = exported.left_out if exported else {}
        if stayed:
            lines += ["", "Left out, so that this folder alone does not make it again:", ""]
            lines += _table(("reason", "rows"), [(why, f"{n:,}") for why, n in stayed.items()])[:-1]
    licence = (
        f"Licence of what it learnt from: {card.licence}."
        if card.licence
        else "What it learnt from has several licences, or none that is known."
    )
    lines += ["", licence]
    if card.base is None:
        lines.append("It began from no other model.")
    else:
        hashed = f", SHA-256 {card.base.sha256}" if card.base.sha256 else ""
        lines.append(f"Base model: {card.base.name}, licence {card.base.licence or 'unknown'}, {_OPENNESS[card.base.openness]}{hashed}.")
    return [*lines, ""]


def _training(model: Model) -> list[str]:
    card = model.card
    usd = "unknown" if card.training_usd is None else f"${card.training_usd:,.4f}"
    lines = [
        "## How it was trained",
        "",
        f"By `plan.toml`, seed {card.plan.seed}, in {card.training_s:,.1f} s; calls to models cost {usd}. Where its data set is:",
        "",
        "```sh",
        "freehold train --plan plan.toml",
        "```",
        "",
    ]
    if card.made:
        lines += _table(("the run", ""), [(name, _yaml(value)[:200]) for name, value in card.made.items()])
    return [*lines, "The program it is:", "", "```python", model.source.rstrip(), "```", ""] if model.source else lines


def _annotation(model: Model) -> list[str]:
    told = model.annotation
    if not told.labels and not told.rounds:
        return ["## Who labelled it", "", "Nobody labelled answers of this task here.", ""]
    people = ", ".join(f"{name} {count:,}" for name, count in told.labels.items())
    lines = [
        "## Who labelled it",
        "",
        f"{told.people:,} people, under pseudonyms. Labels: {people or 'none'}. Paid for verdicts: ${told.earned_usd:,.2f}.",
        "",
    ]
    for session in told.sessions:
        lines += [
            f"{session.items:,} items were drawn at random to be labelled by '{session.metric}', each with probability {session.least_inclusion:.4g} or more.",
            "",
        ]
    for n, one in enumerate(told.rounds, 1):
        lines += _round(n, one)
    return [*lines, "All of it stands in `annotation.json`.", ""]


def _round(n: int, one: Round) -> list[str]:
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(one.items.items())) or "none"
    chance = "some could not be drawn at all" if one.least_inclusion is None else f"each with probability {one.least_inclusion:.4g} or more"
    agreed = "all of them have to agree" if one.is_unanimous else "more than half have to agree"
    weighed = ", weighed by what it was worth" if one.by_worth else ""
    lines = [
        f"### Round {n}: {one.metric}",
        "",
        f"Chosen by '{one.rule}' from {one.frame:,} items, about {one.size:,} to be drawn, {chance}; {one.explore:.0%} of the draw looked at no rule. "
        f"{one.reviewers:,} judged each; {agreed}. {one.gold:,} items with known answers were among them. An accepted verdict earned "
        f"${one.tariff_usd:,.4f}{weighed}. Items: {states}.",
        "",
    ]
    if one.guidelines:
        lines += ["Reviewers were told:", "", *(f"> {line}".rstrip() for line in one.guidelines.splitlines()), ""]
    if one.agreement is not None:
        a = one.agreement
        named = (("raw", a.raw), ("Fleiss' kappa", a.fleiss), ("Krippendorff's alpha", a.alpha), ("Gwet's AC1", a.gwet))
        measures = [(name, *_estimate(value)) for name, value in named if value.value is not None]
        lines += _table(("agreement", "value", f"{a.confidence:.0%} interval"), measures)
    raters = [
        (
            r.name,
            f"{r.given:,}",
            f"{r.accepted:,}",
            f"{r.gold_missed:,} of {r.gold:,}",
            *(_estimate(r.accuracy) if r.accuracy else ("", "")),
        )
        for r in one.raters
    ]
    return [*lines, *_table(("rater", "verdicts", "accepted", "gold missed", "right", "interval"), raters)]


def _proof(model: Model) -> list[str]:
    certificate = model.certificate
    if certificate is None:
        return ["## What is proven", "", "No certificate names it: what it may answer is not proven.", ""]
    kind = "Certified" if certificate.certified else "An estimate, not a certificate" if certificate.estimate else "Not certified"
    return [
        "## What is proven",
        "",
        f"{kind}, {certificate.created_at:%Y-%m-%d}, of a policy that may ask it ({certificate.share.get(model.card.name, 0.0):.1%} of the calls):",
        "",
        f"> {certificate.claim}",
        "",
        "It speaks of traffic like that of the project it was made in, and not of yours: certify it on your own.",
        "",
    ]


def _use(model: Model) -> list[str]:
    name = shlex.quote(model.card.name)
    return [
        "## How to use it",
        "",
        "```sh",
        "sha256sum --check SHA256SUMS",
        f"freehold specialists add . --hash {model.card.hash[:12]} --project YOURS",
        f"freehold certify {shlex.quote(model.card.task)} --variants {name} --project YOURS",
        "```",
        "",
        "The sums tell what broke on the way. Who wrote them they do not tell: compare the hash with one that you have from its makers.",
        "",
    ]


def _cautions(model: Model) -> list[str]:
    lines = [
        "It was measured on questions as its project's users ask them. Elsewhere it may be worse, and as sure.",
        "Personal data in its data set was replaced by placeholders where patterns found it; names and places they do not find.",
        "What a model learnt can be drawn out of it in part, whatever is left out of the data beside it.",
    ]
    if model.manifest is not None and model.manifest.erased:
        lines.append(f"{model.manifest.erased:,} rows had been erased from its data set before it learnt.")
    if model.extra:
        lines.append(f"It needs what stands beside it: {', '.join(model.extra)}.")
    if model.card.plan.embedder is not None:
        lines.append(f"It was trained with the embedder '{model.card.plan.embedder}': 'freehold embedder build' makes one.")
    return ["## What to know before using it", "", *(f"- {line}" for line in lines), ""]


def _table(heads: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> list[str]:
    if not cells:
        return []
    plain = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells]
    return [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {' | '.join(row)} |" for row in plain), ""]


def _estimate(found: Estimate) -> tuple[str, str]:
    value = "unknown" if found.value is None else f"{found.value:.3f}"
    return value, "" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _yaml(value: object) -> str:
    return msgspec.json.encode(value).decode()
