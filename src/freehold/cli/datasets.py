"""Commands about data sets: build, list, show, diff, export, card, erase."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from freehold.cli.console import JsonOption, ProjectOption, opened, out, print_json, print_table, steps
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.datasets.versions import Manifest, Version

_SHOWN = 20
"""Dropped rows that are shown for people, and rows of a difference."""


class Formats(StrEnum):
    """The forms that others read."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    PREFERENCES = "preferences"
    HUGGINGFACE = "huggingface"
    CSV = "csv"
    SPANS = "spans"


class HowOpen(StrEnum):
    """How much of each row leaves."""

    FULL = "full"
    REDACTED = "redacted"
    STATISTICS = "statistics"


class Personal(StrEnum):
    """What becomes of personal data."""

    REPLACE = "replace"
    DROP = "drop"


class FinderName(StrEnum):
    """What finds personal data."""

    PATTERNS = "patterns"
    PRESIDIO = "presidio"


class LabelErrors(StrEnum):
    """What becomes of rows whose answer is suspected."""

    FLAG = "flag"
    DROP = "drop"
    OFF = "off"


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    datasets = typer.Typer(help="Data sets made of calls and of what was said about them.", no_args_is_help=True, rich_markup_mode=None)
    for command in (build, show, diff, export, card, erase):
        datasets.command()(command)
    datasets.command("list")(list_them)
    app.add_typer(datasets, name="dataset")


_Name = Annotated[str, typer.Argument(metavar="NAME[@HASH]", help="A data set; its newest version, or the one whose hash begins so.")]


def build(
    name: Annotated[str, typer.Argument(help="The data set's name.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="QUERY", help="Which calls, such as 'task=triage and reward>=0.9 and since=30d'. Several are a union."
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Build by a written recipe instead: TOML, or a version's manifest.")
    ] = None,
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="For evaluation: nothing of other data sets is trained on its texts.")
    ] = False,
    near: Annotated[
        float, typer.Option(metavar="SHARE", help="From which similarity on two questions are the same; 0 compares none.")
    ] = 0.8,
    least_chars: Annotated[int, typer.Option(min=0, help="Leave out shorter questions and answers.")] = 1,
    most_chars: Annotated[int, typer.Option(min=0, help="Leave out longer questions and answers.")] = 100_000,
    languages: Annotated[str | None, typer.Option(metavar="en,de,…", help="Keep these languages alone; und: cannot be told.")] = None,
    personal: Annotated[Personal, typer.Option(help="Replace personal data, or leave out rows that hold any.")] = Personal.REPLACE,
    finder: Annotated[FinderName, typer.Option(help="What finds personal data; presidio is an extra.")] = FinderName.PATTERNS,
    label_errors: Annotated[LabelErrors, typer.Option(help="Flag suspected answers, leave them out, or do not look.")] = LabelErrors.FLAG,
    train: Annotated[float, typer.Option(metavar="FRACTION", help="Share of groups to train on.")] = 0.8,
    calibrate: Annotated[float, typer.Option(metavar="FRACTION", help="Share of groups to choose by; the rest is the test part.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Which hash places the groups.")] = 0,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a data set from the journal and freeze it. The same recipe on the same journal gives the same hash."""
    from freehold.curate import build_dataset
    from freehold.datasets.recipe import Cleaning, Recipe, Splitting, read_recipe, settled

    now = datetime.now(UTC)
    if (recipe is None) == (not source):
        raise CallerError("A data set is built by --from QUERY, once or several times, or by --recipe FILE. Say one of the two.")
    made: Recipe = (
        read_recipe(recipe, name, now)
        if recipe is not None
        else settled(
            Recipe(
                name=name,
                sources=tuple(source or ()),
                purpose="evaluation" if evaluation else "training",
                clean=Cleaning(
                    near=near,
                    least_chars=least_chars,
                    most_chars=most_chars,
                    languages=tuple(code.strip() for code in languages.split(",") if code.strip()) if languages else (),
                    personal=personal.value,
                    finder=finder.value,
                    label_errors=label_errors.value,
                ),
                split=Splitting(train=train, calibrate=calibrate, seed=seed),
            ),
            now,
        )
    )
    with opened(project) as home, steps(not as_json) as say:
        version = build_dataset(home, made, say)
    if as_json:
        print_json(version.manifest)
    else:
        print_manifest(version.manifest)


def list_them(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List data sets with their versions, oldest first."""
    from freehold.datasets.versions import versions

    with opened(project) as home:
        found = versions(home.datasets)
    if as_json:
        print_json([version.manifest for version in found])
    elif not found:
        out().print("There is no data set yet. 'freehold dataset build NAME --from …' makes one.", markup=False)
    else:
        print_table(
            "", ["data set", "version", "built (UTC)", "for", "rows", "left out"], [_line(version) for version in found], right=(4, 5)
        )


def _line(version: "Version") -> list[str]:
    m = version.manifest
    return [m.name, m.hash[:12], f"{m.created_at:%Y-%m-%d %H:%M}", m.recipe.purpose, f"{m.rows:,}", f"{sum(m.dropped.values()):,}"]


def show(
    name: _Name,
    dropped: Annotated[str | None, typer.Option(metavar="REASON", help="List what was left out for that reason; 'all' for all.")] = None,
    recipe: Annotated[bool, typer.Option("--recipe", help="Print the recipe, as --recipe of build reads it.")] = False,
    row: Annotated[str | None, typer.Option(metavar="ID", help="Show one row with its lineage; its id's beginning will do.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a version holds, what was left out and why, its recipe, or one row with all it came from."""
    import sys

    import msgspec

    from freehold.curate import taught_by
    from freehold.datasets.dropped import dropped_in
    from freehold.datasets.recipe import toml_of
    from freehold.datasets.versions import DROPPED, find, intact

    with opened(project) as home:
        version = intact(find(home.datasets, name))
        if recipe:
            sys.stdout.write(toml_of(version.manifest.recipe))
        elif dropped is not None:
            _show_dropped(version, list(dropped_in(version.folder / DROPPED, () if dropped == "all" else (dropped,))), dropped, as_json)
        elif row is not None:
            from freehold.curate import lineage

            found = lineage(home, version, row)
            print_json(found)
        elif as_json:
            print_json(
                {
                    **msgspec.structs.asdict(version.manifest),
                    "specialists": [card.label for card in taught_by(home, {version.manifest.hash, *version.manifest.stands_for})],
                }
            )
        else:
            print_manifest(version.manifest)
            if taught := taught_by(home, {version.manifest.hash, *version.manifest.stands_for}):
                out().print(f"Learnt from it: {', '.join(card.label for card in taught)}.", markup=False)


def _show_dropped(version: "Version", found: list[tuple[object, ...]], reason: str, as_json: bool) -> None:
    from freehold.datasets.dropped import Reason
    from freehold.errors import nearest

    known = {*get_args(Reason), *version.manifest.dropped}
    if reason != "all" and reason not in known:
        raise CallerError(f"Nothing was left out of {version.label} for '{reason}'.{nearest(reason, known)}")
    if as_json:
        print_json([row._asdict() for row in found])  # type: ignore[attr-defined]
        return
    if not found:
        why = "" if reason == "all" else f" for '{reason}'"
        out().print(f"{version.label}: 0 rows were left out{why}.", markup=False)
        return
    rows = [
        [str(cell or "") if not isinstance(cell, tuple) else ", ".join(id[:12] for id in cell) for cell in row] for row in found[:_SHOWN]
    ]
    print_table("", ["kind", "task", "item", "calls", "reason", "what exactly"], rows)
    if len(found) > _SHOWN:
        out().print(f"{len(found) - _SHOWN:,} more: --json lists them all.", markup=False)


def print_manifest(manifest: "Manifest") -> None:
    """What a version is, for people."""
    m = manifest
    out().print(f"{m.name}@{m.hash[:12]}: {m.rows:,} rows in {m.groups:,} groups, for {m.recipe.purpose}.", markup=False)
    print_table("", ["part", "rows"], [[part, f"{n:,}"] for part, n in m.parts.items()], right=(1,))
    if m.dropped:
        title = f"Left out, of {m.wanted:,} that were wanted"
        print_table(title, ["reason", "rows"], [[why, f"{n:,}"] for why, n in m.dropped.items()], right=(1,))
    for line in remarks(m):
        out().print(line, markup=False, soft_wrap=True)


def remarks(manifest: "Manifest") -> list[str]:
    """What has to be said beside the numbers."""
    m = manifest
    lines = []
    if m.refused:
        who = ", ".join(f"{writer} ({n:,})" for writer, n in m.refused.items())
        lines.append(
            f"Not to be trained on, because their writers forbid it or nobody has asked: {who}. Once you know better, say "
            'trains_others = "yes" under [providers.NAME] or [models.NAME].'
        )
    for what, counts in (("licence", m.licences), ("consent", m.consents)):
        if none := counts.get("", 0):
            lines.append(f"{none:,} rows have no {what} and stay out of exports: say {what} under [data] or [tasks.NAME], or by tag.")
    if m.personal:
        lines.append("Personal data replaced: " + ", ".join(f"{kind} {n:,}" for kind, n in m.personal.items()) + ".")
    if m.suspects:
        lines.append(f"{m.suspects:,} answers are suspected to be wrong; their rows say which answer would fit.")
    if m.unseen:
        lines.append(f"{m.unseen:,} rows were too many to be looked at for wrong answers.")
    if m.erased:
        lines.append(f"{m.erased:,} rows were erased from the version before, {(m.follows or '')[:12]}.")
    if texts := sum(one.texts for one in m.evaluations):
        lines.append(f"The training part was compared with {texts:,} evaluation texts of {len(m.evaluations)} sets.")
    return lines


def diff(
    old: _Name,
    new: Annotated[str, typer.Argument(metavar="NAME[@HASH]", help="What to compare it with.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name the rows that came, went, changed, or moved to another part from one version to another."""
    from freehold.datasets.compare import compare
    from freehold.datasets.versions import find, intact

    with opened(project) as home:
        found = compare(intact(find(home.datasets, old)), intact(find(home.datasets, new)))
    if as_json:
        print_json(found)
        return
    out().print(
        f"{len(found.came):,} rows came, {len(found.went):,} went, {len(found.changed):,} changed, {len(found.moved):,} moved; "
        f"{found.same:,} are the same.",
        markup=False,
    )
    rows = [
        [what, row.id[:12], row.kind, row.task or "", row.item, row.why]
        for what in ("came", "went", "changed", "moved")
        for row in getattr(found, what)[:_SHOWN]
    ]
    if rows:
        print_table("", ["", "row", "kind", "task", "item", ""], rows)


_OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")]
_OpennessOption = Annotated[
    HowOpen, typer.Option(help="full: with all that rows came from; redacted: questions and answers; statistics: no row.")
]


def export(
    name: _Name,
    out_dir: _OutOption,
    format: Annotated[Formats, typer.Option(help="The form.")] = Formats.HUGGINGFACE,
    openness: _OpennessOption = HowOpen.REDACTED,
    without_licence: Annotated[bool, typer.Option("--without-licence", help="Let rows without a licence leave, too.")] = False,
    without_consent: Annotated[bool, typer.Option("--without-consent", help="Let rows without consent leave, too.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a version for others: chats to fine-tune on, pairs, a Hugging Face folder, CSV or spans. What may not leave stays, counted."""
    from freehold.curate import export_dataset
    from freehold.datasets.export import Wanted

    wanted = Wanted(format.value, openness.value, without_licence, without_consent)
    with opened(project) as home:
        exported = export_dataset(home, name, wanted, out_dir)
    if as_json:
        print_json(exported)
        return
    told = ", ".join(f"{part} {n:,}" for part, n in exported.rows.items()) or "no row"
    out().print(f"Wrote {out_dir}: {told}.", markup=False, soft_wrap=True)
    for reason, n in exported.left_out.items():
        out().print(f"Left out: {n:,}, {reason}.", markup=False, soft_wrap=True)


def card(
    name: _Name,
    out_dir: _OutOption,
    openness: _OpennessOption = HowOpen.STATISTICS,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a version's card alone: a README, its statistics, and Croissant JSON-LD."""
    from freehold.datasets.card import write_card
    from freehold.datasets.versions import find

    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise CallerError(f"'{out_dir}' is there and not empty. Name a new folder.")
    with opened(project) as home:
        files = write_card(find(home.datasets, name).manifest, openness.value, out_dir)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        out().print(f"Wrote {out_dir}: {', '.join(file.name for file in files)}.", markup=False, soft_wrap=True)


def erase(
    name: Annotated[str, typer.Argument(metavar="NAME[@HASH]", help="All versions of a data set, or one of them.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a data set, or one version, with the exports of it that still lie where they were written. For a person: freehold erase."""
    import sys

    from freehold.curate import erase_dataset

    if not yes:
        if not sys.stdin.isatty():
            raise CallerError("Erasing asks for a yes, and there is nobody to ask. Say --yes.")
        typer.confirm(f"Remove {name} for good?", abort=True)
    with opened(project) as home:
        erased = erase_dataset(home, name)
    if as_json:
        print_json(erased)
        return
    out().print(f"Removed {', '.join(erased.removed)}.", markup=False, soft_wrap=True)
    for line in export_lines(erased.exports_removed, erased.exports_left):
        out().print(line, markup=False, soft_wrap=True)


def export_lines(removed: tuple[str, ...], left: tuple[str, ...]) -> list[str]:
    """What became of exports."""
    lines = [f"Exports removed: {', '.join(removed)}."] if removed else []
    lines += [f"Exports that were moved or changed since, for you to find and remove: {', '.join(left)}."] if left else []
    return lines + (["Whatever was trained on those keeps what it learnt: train it again on what is left."] if lines else [])
