"""A data set's card: a README that people read, and Croissant JSON-LD that programs do. As much of it as its openness allows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from freehold.datasets.croissant import croissant
from freehold.datasets.recipe import toml_of
from freehold.datasets.versions import File, Manifest
from freehold.store.files import private_file

Openness: TypeAlias = Literal["full", "redacted", "statistics"]
"""`full`: rows with all they came from, for those who may see everything. `redacted`: questions and answers alone. `statistics`: no row."""
README, CROISSANT, STATISTICS = "README.md", "croissant.json", "statistics.json"
_LICENCES = {name.lower() for name in ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "odbl", "gpl-3.0")}
"""Those that Hugging Face's cards know by name."""
_LARGEST = 12


def write_card(
    manifest: Manifest,
    openness: Openness,
    out: Path,
    files: Sequence[tuple[str, File, tuple[str, ...]]] = (),
    rows: dict[str, int] | None = None,
    left_out: dict[str, int] | None = None,
) -> list[Path]:
    """Writes the card into a folder. `files`: the rows' files beside it, with their columns."""
    statistics = _written(out / STATISTICS, msgspec.json.format(msgspec.json.encode(statistics_of(manifest, openness)), indent=1))
    described = croissant(manifest, openness, files, (STATISTICS, statistics))
    return [
        statistics,
        _written(out / README, readme(manifest, openness, [name for name, _, _ in files], rows or {}, left_out or {}).encode()),
        _written(out / CROISSANT, msgspec.json.format(msgspec.json.encode(described), indent=1)),
    ]


def statistics_of(manifest: Manifest, openness: Openness) -> dict[str, object]:
    """What may be told of a data set without any of its rows. Counts below five are told as such outside of full openness, for a rare answer
    or language may be one person's."""
    m = manifest
    counts = {
        "parts": m.parts,
        "kinds": m.kinds,
        "tasks": m.tasks,
        "languages": m.languages,
        "licences": m.licences,
        "consents": m.consents,
    }
    told: dict[str, object] = {name: _coarse(count, openness) for name, count in (counts | {"personal": m.personal}).items()}
    told["answers"] = (
        {task: _coarse(count, openness) for task, count in m.answers.items()}
        if openness == "full"
        else {task: len(count) for task, count in m.answers.items()}
    )
    return {
        "name": m.name,
        "version": m.hash,
        "rows": m.rows,
        "groups": m.groups,
        "wanted": m.wanted,
        "dropped": m.dropped,
        "suspects": m.suspects,
        "question_chars": dict(zip(("least", "median", "most"), m.chars, strict=True)),
        **told,
    }


def _coarse(count: dict[str, int], openness: Openness) -> dict[str, int | str]:
    return {name: n if openness == "full" or n >= 5 else "fewer than 5" for name, n in count.items()}


def readme(manifest: Manifest, openness: Openness, files: Sequence[str], rows: dict[str, int], left_out: dict[str, int]) -> str:
    """The page for people, with the header that Hugging Face reads."""
    m = manifest
    lines = ["---", *_header(m, files), "---", "", f"# {m.name}", "", _about(m), ""]
    if openness == "statistics":
        lines += ["This card tells of the data and holds none of it.", ""]
    lines += _table(
        "Rows", ("part", "in the data set", "here"), [(p, f"{n:,}", f"{rows.get(_outside(p), 0):,}") for p, n in m.parts.items()]
    )
    lines += _table("What was asked", ("task", "rows"), [(task or "(none)", f"{n:,}") for task, n in _most(m.tasks)])
    lines += _table("Languages", ("language", "rows"), [(code, f"{n:,}") for code, n in _most(m.languages)])
    lines += _table("Terms", ("licence", "rows"), [(licence or "(none)", f"{n:,}") for licence, n in _most(m.licences)])
    lines += _table("", ("use rests on", "rows"), [(consent or "(nothing)", f"{n:,}") for consent, n in _most(m.consents)])
    lines += _table("", ("answers written by", "rows"), [(writer, f"{n:,}") for writer, n in _most(m.writers)])
    lines += _table("Left out when it was built", ("reason", "rows"), [(why, f"{n:,}") for why, n in m.dropped.items()])
    lines += _table("Left out of this export", ("reason", "rows"), [(why, f"{n:,}") for why, n in sorted(left_out.items())])
    lines += ["## What to know before using it", "", *(f"- {line}" for line in _cautions(m)), ""]
    if openness == "full":
        lines += ["## Recipe", "", "```toml", toml_of(m.recipe).rstrip(), "```", ""]
    return "\n".join(lines)


def _header(m: Manifest, files: Sequence[str]) -> list[str]:
    """YAML, written as JSON values, which are YAML, too."""
    licences = sorted(licence for licence in m.licences if licence)
    known = licences[0].lower() if len(licences) == 1 and licences[0].lower() in _LICENCES else "other"
    lines = [f"pretty_name: {_yaml(m.name)}", f"license: {known}"]
    if known == "other" and licences:
        lines.append(f"license_name: {_yaml(', '.join(licences))}")
    codes = sorted(code for code in m.languages if code != "und")
    lines += [f"language: {_yaml(codes)}"] if codes else []
    lines += [f"size_categories: {_yaml([_size(m.rows)])}", "configs:", "- config_name: default"]
    if files:
        lines.append("  data_files:")
        for name in files:
            lines += [f"  - split: {Path(name).stem}", f"    path: {_yaml(name)}"]
        return lines
    return lines[:-2]


def _about(m: Manifest) -> str:
    asked = f", asked from {m.asked[0]:%Y-%m-%d} to {m.asked[1]:%Y-%m-%d}" if m.asked else ""
    return (
        f"{m.rows:,} rows in {m.groups:,} groups for {m.recipe.purpose}, made of journalled calls and of what was said about them{asked}. "
        f"Version {m.hash[:12]}, built by Freehold {m.code}. Questions have {m.chars[0]:,} to {m.chars[2]:,} characters, {m.chars[1]:,} in the "
        "middle."
    )


def _cautions(m: Manifest) -> list[str]:
    lines = [
        "Personal data was looked for by "
        + ("patterns and Presidio" if m.recipe.clean.finder == "presidio" else "patterns with check digits")
        + (f", and replaced: {', '.join(f'{kind} {n:,}' for kind, n in m.personal.items())}" if m.personal else ", and none was found")
        + ". Patterns do not find names and places; what is left is nobody's promise that there is none.",
        "A group never straddles two parts. Rows near to each other by "
        f"{m.recipe.clean.near:g} or more of their runs of three words are one."
        if m.recipe.clean.near
        else "Near duplicates were kept.",
        f"The training part was compared with {sum(one.texts for one in m.evaluations):,} evaluation texts; it holds none of them.",
        "Languages are told by a small detector, by script and stop words.",
    ]
    if m.suspects or m.unseen:
        lines.append(
            f"{m.suspects:,} answers are suspected to be wrong by cross-validation; {m.unseen:,} rows were not looked at for that."
        )
    if m.refused:
        lines.append(
            "Answers of writers whose terms forbid training others, or who were not asked, are not in it: " + ", ".join(m.refused) + "."
        )
    if m.erased:
        lines.append(f"{m.erased:,} rows were erased since an earlier version.")
    return lines


def _table(title: str, heads: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> list[str]:
    if not cells:
        return []
    head = [f"## {title}", ""] if title else []
    rule = "|" + "---|" * len(heads)
    return [*head, f"| {' | '.join(heads)} |", rule, *(f"| {' | '.join(_plain(cell) for cell in row)} |" for row in cells), ""]


def _plain(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_LARGEST]


def _outside(part: str) -> str:
    return "validation" if part == "calibrate" else part


def _size(rows: int) -> str:
    """As Hugging Face says it."""
    steps = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
    return next((name for most, name in steps if rows < most), "10M<n<100M")


def _yaml(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _written(path: Path, data: bytes) -> Path:
    with private_file(path) as file:
        file.write(data)
    return path
