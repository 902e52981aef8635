"""Commands about feedback: saying something of a call, bringing in what others said, looking at it and at the reward it makes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, print_table
from freehold.errors import CallerError
from freehold.store.times import time_of

if TYPE_CHECKING:
    from freehold.chat import JSON
    from freehold.feedback.reward import Rewarded
    from freehold.journal.call import Call, Feedback
    from freehold.project import Project

CallArgument = Annotated[str, typer.Argument(metavar="CALL", help="A call's id, as answers carry it; its beginning will do.")]
MetricOption = Annotated[str | None, typer.Option(help="What is judged; the task's metric where nothing is said.")]
_MOST_SHOWN = 20
_MOST_CHARACTERS = 120


class Kinds(StrEnum):
    """Kinds of feedback."""

    SCORE = "score"
    LABEL = "label"
    CORRECTION = "correction"
    PREFERENCE = "preference"
    COMMENT = "comment"
    VERIFIER = "verifier"


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    feedback = typer.Typer(help="What people and instruments say about answers.", no_args_is_help=True, rich_markup_mode=None)
    feedback.command("add")(add)
    feedback.command("list")(list_feedback)
    feedback.command("import")(import_feedback)
    feedback.command("show")(show)
    feedback.command("token")(token)
    app.add_typer(feedback, name="feedback")


def add(
    call: Annotated[
        str | None, typer.Argument(metavar="[CALL]", help="A call's id; its beginning will do where the journal has it.")
    ] = None,
    episode: Annotated[str | None, typer.Option(help="The run it is about, in place of a call.")] = None,
    metric: MetricOption = None,
    value: Annotated[str | None, typer.Option(help="A score in the metric's range, true or false, or a label.")] = None,
    correction: Annotated[str | None, typer.Option(help="The answer as it should have been: JSON, or else a text.")] = None,
    better_than: Annotated[str | None, typer.Option(metavar="CALL", help="The call whose answer is worse.")] = None,
    worse_than: Annotated[str | None, typer.Option(metavar="CALL", help="The call whose answer is better.")] = None,
    same_as: Annotated[str | None, typer.Option(metavar="CALL", help="The call whose answer is as good.")] = None,
    comment: Annotated[str | None, typer.Option(help="Anything else.")] = None,
    source: Annotated[str, typer.Option(help="Who says it: user, person:NAME, verifier:NAME, judge:NAME, scorer:NAME, import.")] = "user",
    author: Annotated[str | None, typer.Option(help="Who of the source.")] = None,
    key: Annotated[str | None, typer.Option(help="Under one key the same is said once.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say something about a call or a run."""
    from freehold.feedback.attach import attach
    from freehold.feedback.receive import IS_CALL
    from freehold.feedback.saying import Saying, feedback_from

    now = datetime.now(UTC)
    with opened(project) as home:
        found = None if call is None else _find(home, call)
        if call is not None and found is None and not IS_CALL.fullmatch(call):
            raise CallerError(f"There is no call '{call}', and no call can have that id. 'freehold calls' shows the last ones.")
        about = call if found is None else found.id
        saying = Saying(
            call=about,
            episode=episode,
            metric=metric or _metric_of(home, found),
            value=_typed(value),
            correction=_answer(correction),
            preference=_preference(home, better_than, worse_than, same_as),
            comment=comment,
            source=source,
            author=author,
            key=key,
        )
        said = feedback_from(saying, home.catalog, home.tenant, now)
        journal = home.config.journal.content
        appended, waiting = attach(home.store, home.catalog, journal, home.config.feedback, [said], now)
    if appended.conflicts:
        raise CallerError(f"Something else was said under the key '{key}', and the first stays. Give another key.")
    if as_json:
        print_json({"feedback": [one.id for one in said], "added": appended.feedback_added, "waiting": waiting})
        return
    out().print(f"{appended.feedback_added} added, {appended.feedback_present} there already.")
    if waiting:
        notes().print(f"{waiting} wait for a call that is not in the journal, for {home.config.feedback.early_days} days.")


def list_feedback(
    task: Annotated[str | None, typer.Option(help="About calls of this task.")] = None,
    source: Annotated[str | None, typer.Option(help="Said by this source, such as user, judge or person:ann.")] = None,
    author: Annotated[str | None, typer.Option(help="Said by this author.")] = None,
    kind: Annotated[Kinds | None, typer.Option(help="Of this kind.")] = None,
    metric: Annotated[str | None, typer.Option(help="About this metric.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Said since: 2h, 7d, 2026-03-04.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to show, of those that arrived last.")] = 50,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was said last."""
    from freehold.feedback.saying import check_kind
    from freehold.journal.read import Said, latest_feedback, sources

    if source is not None:
        check_kind(source)
    at = None if since is None else time_of("--since", since, datetime.now(UTC))
    wanted = Said(task, source, author, None if kind is None else kind.value, metric, at)
    with opened(project) as home:
        if task is not None:
            home.task(task)
        found = latest_feedback(home.store, home.tenant, wanted, limit)
        spoke = {} if found else sources(home.store, home.tenant)
    if as_json:
        print_json(found)
    elif found:
        _print_said("Feedback", found)
    else:
        out().print("Nothing was said that fits.")
    if source is not None and spoke and not any(name == source or name.startswith(f"{source}:") for name in spoke):
        told = ", ".join(f"{name} ({count:,})" for name, count in [*spoke.items()][:_MOST_SHOWN])
        more = f" and {len(spoke) - _MOST_SHOWN:,} more" if len(spoke) > _MOST_SHOWN else ""
        notes().print(f"'{source}' said nothing here. Who did: {told}{more}.", markup=False, soft_wrap=True)


def import_feedback(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines as POST /v1/feedback takes them, or CSV with these columns; - for the input.")
    ],
    task: Annotated[str | None, typer.Option(help="The task whose item and variant rows name in place of a call.")] = None,
    metric: Annotated[str | None, typer.Option(help="What is judged, where a row does not say.")] = None,
    source: Annotated[str, typer.Option(help="Who says it, where a row does not say.")] = "import",
    strict: Annotated[bool, typer.Option(help="Exit with status 1 where a row cannot be brought in; the others are.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in what was said elsewhere, also about calls that are not in the journal yet."""
    from freehold.feedback.bring import Bringing, bring, rows_of
    from freehold.journal.formats.lines import read_lines
    from freehold.journal.formats.source import opened as sources
    from freehold.pipelines.readers import read_csv, read_json

    now = datetime.now(UTC)
    with opened(project) as home, sources([file]) as (found,):
        if task is not None:
            home.task(task)
        is_table = file.endswith((".csv", ".tsv"))
        read = read_csv(found.name, read_lines(found)) if is_table else read_json(read_lines(found))
        how = Bringing(home.tenant, task, metric, source)
        journal = home.config.journal.content
        brought = bring(home.store, home.catalog, journal, home.config.feedback, rows_of(read), how, now, is_table)
        days = home.config.feedback.early_days
    if as_json:
        print_json(brought)
    else:
        out().print(
            f"{brought.rows} rows: {brought.added} pieces of feedback added, {brought.present} there already, {len(brought.refused)} refused."
        )
        if brought.waiting:
            out().print(f"{brought.waiting} of them wait for calls that are not in the journal, for {days} days.")
        for why in brought.refused[:_MOST_SHOWN]:
            notes().print(why, markup=False)
        if len(brought.refused) > _MOST_SHOWN:
            notes().print(f"and {len(brought.refused) - _MOST_SHOWN} more; --json has them all")
    if strict and brought.refused:
        raise typer.Exit(1)


def show(call: CallArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show everything said about a call and its run, and the reward that makes, word by word."""
    from freehold.feedback.reward import reward
    from freehold.journal.read import feedback_of
    from freehold.pipelines.rewarding import reward_of

    with opened(project) as home:
        found = _known(home, call)
        said = feedback_of(home.store, home.tenant, found.id, found.episode)
        rule = None if found.task is None else reward_of(home.config, found.task)
        rewarded = None if rule is None else reward(rule, said, home.catalog, found.output_digest)
    if as_json:
        print_json({"call": found.id, "task": found.task, "feedback": said, "reward": rewarded})
        return
    if said:
        _print_said(f"Said of {found.id}", said)
    else:
        out().print("Nothing was said of this call.")
    if rewarded is None:
        out().print(f"Task '{found.task}' declares no reward." if found.task else "It is of no task, and so has no reward.", markup=False)
    else:
        _print_reward(rewarded)


def token(
    call: Annotated[str | None, typer.Argument(metavar="[CALL]", help="The call that may be spoken of.")] = None,
    episode: Annotated[str | None, typer.Option(help="The run that may be spoken of, in place of a call.")] = None,
    author: Annotated[str | None, typer.Option(help="Who is to speak, as you know them; else one address is one voice.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="What may be judged; more than once; anything where nothing is said.")] = None,
    other: Annotated[str | None, typer.Option(metavar="CALL", help="A call that it may be compared with.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token with which somebody without a key may speak of a call once."""
    from freehold.feedback.public import checked_ticket
    from freehold.feedback.secret import secret_of
    from freehold.feedback.tokens import new_ticket, signed

    with opened(project) as home:
        rule = home.config.feedback
        until = datetime.now(UTC) + timedelta(days=rule.token_days)
        about, beside = (None if one is None else _known(home, one).id for one in (call, other))
        ticket = new_ticket(home.tenant, about, until, episode=episode, other=beside, metrics=tuple(metric or ()), author=author)
        made = signed(secret_of(home.folder, rule), checked_ticket(ticket))
    if as_json:
        print_json({"token": made, "until": until})
    else:
        out().print(made, markup=False, soft_wrap=True)
    if not rule.public:
        notes().print("It is of no use yet: set feedback.public = true in freehold.toml, and 'freehold serve' takes it.", markup=False)


def _find(home: "Project", call: str) -> "Call | None":
    """The call of that id, or the one whose id begins so; None where the journal has none. Raises CallerError for several."""
    from freehold.journal.read import find_call, named_alike

    found = find_call(home.store, home.tenant, call)
    if found is not None:
        return found
    names = named_alike(home.store, home.tenant, call)
    if len(names) > 1:
        raise CallerError(f"Several calls begin with '{call}': {', '.join(names)}. Say more of its id.")
    return find_call(home.store, home.tenant, names[0]) if names else None


def _known(home: "Project", call: str) -> "Call":
    """As `_find`. Raises CallerError where the journal has none, too."""
    found = _find(home, call)
    if found is None:
        raise CallerError(f"There is no call '{call}'. 'freehold calls' shows the last ones.")
    return found


def _metric_of(home: "Project", call: "Call | None") -> str:
    task = None if call is None or call.task is None else home.catalog.tasks.get(call.task)
    if task is None or task.metric is None:
        raise CallerError("Say what is judged: --metric NAME. Only of a call whose task has a metric it is known.")
    return task.metric


def _typed(value: str | None) -> "JSON":
    """A number, true or false, or else a label."""
    if value is None or value.lower() in ("true", "false"):
        return None if value is None else value.lower() == "true"
    try:
        return float(value)
    except ValueError:
        return value


def _answer(text: str | None) -> "JSON":
    """An answer: JSON where it is an object, a list or a number of JSON, else the text."""
    import msgspec

    if text is None:
        return None
    try:
        read: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return read if read is not None else text


def _preference(home: "Project", better_than: str | None, worse_than: str | None, same_as: str | None) -> "JSON":
    from freehold.feedback.preference import Verdict, preference_json

    named: dict[Verdict, str | None] = {"better_than": better_than, "worse_than": worse_than, "same_as": same_as}
    said = [(verdict, other) for verdict, other in named.items() if other is not None]
    if len(said) > 1:
        raise CallerError("Two comparisons are there; expected one of --better-than, --worse-than and --same-as.")
    if not said:
        return None
    verdict, other = said[0]
    found = _find(home, other)
    return preference_json(verdict, other if found is None else found.id)


def _print_said(title: str, said: Sequence["Feedback"]) -> None:
    rows = [
        [
            one.at.isoformat(timespec="seconds"),
            one.call or f"episode {one.episode}",
            one.metric,
            one.kind,
            _shown(one),
            one.source,
            one.author or "",
        ]
        for one in said
    ]
    print_table(title, ["said", "about", "metric", "kind", "what", "source", "author"], rows)


def _shown(said: "Feedback") -> str:
    from freehold.chat import canonical_json
    from freehold.feedback.show import plain

    if said.value is not None:
        return f"{said.value:g}"
    if said.content is None:
        return "(not kept)"
    text = said.content if isinstance(said.content, str) else canonical_json(said.content).decode()
    return plain(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …")


def _print_reward(rewarded: "Rewarded") -> None:
    if rewarded.value is None:
        out().print(f"No reward: {rewarded.why}.", markup=False)
    else:
        out().print(f"Reward: {rewarded.value:.4f}", markup=False)
    if rewarded.words:
        print_table(
            "Made of",
            ["metric", "source", "author", "worth", "share"],
            [[one.metric, one.source, one.author or "", f"{one.value:.3f}", f"{one.share:.3f}"] for one in rewarded.words],
            right=(3, 4),
        )
    for why in dict.fromkeys(one.why for one in rewarded.unheard):
        count = sum(one.why == why for one in rewarded.unheard)
        out().print(f"Not in it: {count}, for {why}.", markup=False)
