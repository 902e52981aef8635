"""Commands about the journal's calls: what came last, one of them whole, what kinds there are, and making a kind a task."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, number, opened, out, print_json, print_table, share, usd
from freehold.errors import CallerError, nearest
from freehold.store.times import time_of

if TYPE_CHECKING:
    from freehold.journal.call import Call, Feedback
    from freehold.project import Project
    from freehold.promotion.explain import Explained

_POLL_S = 0.5
_OVERLAP = 1_000
"""How far back a next look goes with PostgreSQL, where a call may be committed after one that came later."""
_MOST_AT_ONCE = 10_000
"""The most calls a look takes."""
_ID = 16
"""Characters of an id in a list: the gateway's ids begin with 12 of the time."""
_MOST_PROBABLE = 5
_EXCERPT = 80
"""Characters of a question in a list."""
_COLUMNS = ("ASKED (UTC)", "CALL", "TASK", "VARIANT", "OUTCOME", "COST", "SECONDS", "QUESTION")


class Outcomes(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    MALFORMED = "malformed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    calls = typer.Typer(help="The journal's calls: those that came last, or what a command says.", rich_markup_mode=None)
    calls.callback(invoke_without_command=True)(latest)
    calls.command("show")(show)
    calls.command("groups")(groups)
    calls.command("name")(name)
    app.add_typer(calls, name="calls")


def latest(
    context: typer.Context,
    task: Annotated[str | None, typer.Option(help="Only calls of this task.")] = None,
    variant: Annotated[str | None, typer.Option(help="Only what this variant answered.")] = None,
    outcome: Annotated[Outcomes | None, typer.Option(help="Only calls that ended so.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only calls asked since then: 90s, 15m, 2h, 7d ago, or a time such as 2026-03-04.")
    ] = None,
    slow: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Only calls that took at least so long.")] = None,
    episode: Annotated[str | None, typer.Option(metavar="ID", help="Only calls of this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes in, until Ctrl-C.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the calls that came last, oldest first."""
    if context.invoked_subcommand is not None:
        return
    from freehold.journal.read import Wanted
    from freehold.journal.read import latest as read_latest

    asked_since = None if since is None else time_of("--since", since, datetime.now(UTC))
    wanted = Wanted(task, variant, outcome.value if outcome else None, asked_since, slow, episode)
    with opened(project) as home:
        if task is not None:
            _refuse_unknown_task(home, task)
        if not follow:
            found, _ = read_latest(home.store, home.tenant, wanted, limit)
            if as_json:
                print_json(found)
            elif found:
                _print_lines(found, as_json=False, header=True)
            else:
                out().print("No such calls.")
            return
        overlap = _OVERLAP if home.store.kind == "postgresql" else 0
        found, newest = read_latest(home.store, home.tenant, wanted, max(limit, overlap))
        _print_lines(found[-limit:], as_json)
        try:
            while True:
                time.sleep(_POLL_S)
                seen = {call.id for call in found}
                found, newest = read_latest(home.store, home.tenant, wanted, _MOST_AT_ONCE, after=max(0, newest - overlap))
                _print_lines([call for call in found if call.id not in seen], as_json)
        except KeyboardInterrupt:
            return


def _refuse_unknown_task(home: "Project", task: str) -> None:
    """Raises CallerError, which names the nearest, for a task that is neither configured nor any call's."""
    if task not in home.config.tasks:
        from freehold.journal.read import counts

        known = {*home.config.tasks, *counts(home.store, home.tenant).tasks}
        if task not in known:
            raise CallerError(f"There is no task '{task[:80]}'.{nearest(task, known) or ' No call has one yet.'}")


def _cells(call: "Call") -> list[str]:
    from freehold.feedback.show import asked_text, plain

    asked = "(content not kept)" if call.input is None else " ".join(asked_text(call.input).split())
    return [
        "unknown" if call.at is None else f"{call.at:%Y-%m-%d %H:%M:%S}",
        call.id[:_ID],
        plain(call.task or "(none)"),
        plain(call.variant),
        call.outcome if call.delivered else f"{call.outcome}, not delivered",
        usd(call.cost_usd, 6),
        f"{number(call.latency_s)}",
        asked if len(asked) <= _EXCERPT else asked[: _EXCERPT - 1] + "…",
    ]


def _print_lines(found: Sequence["Call"], as_json: bool, header: bool = False) -> None:
    """One line for each call, at once; on a terminal as much of it as fits."""
    import msgspec

    if as_json:
        lines = [msgspec.json.encode(call).decode() for call in found]
    else:
        rows = [list(_COLUMNS)] * header + [_cells(call) for call in found]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        most = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()[:most] for row in rows]
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()


def show(
    call: Annotated[str, typer.Argument(metavar="CALL", help="A call's id, as answers carry it; its beginning will do.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one call: what was asked and answered, the rule of the policy that decided, every attempt, and what was said about it."""
    from freehold.journal.read import feedback_of, find_call, named_alike
    from freehold.promotion.explain import explain

    with opened(project) as home:
        found = find_call(home.store, home.tenant, call)
        if found is None:
            names = named_alike(home.store, home.tenant, call)
            if len(names) > 1:
                raise CallerError(f"Several calls begin with '{call}': {', '.join(names)}. Say more of its id.")
            found = find_call(home.store, home.tenant, names[0]) if names else None
        if found is None:
            raise CallerError(f"There is no call '{call}'. 'freehold calls' shows the last ones.")
        said = feedback_of(home.store, home.tenant, found.id, found.episode)
        why = explain(home.store, home.tenant, found)
    if as_json:
        print_json({"call": found, "decision": why, "feedback": said})
    else:
        _print_call(found, why, said)


def _print_call(call: "Call", why: "Explained | None", said: Sequence["Feedback"]) -> None:
    from freehold.feedback.show import answer_text, asked_text, excerpt, plain

    def line(name: str, value: object) -> None:
        out().print(f"{name + ':':<12}{plain(str(value))}", markup=False, soft_wrap=True)

    usage = call.usage
    line("call", call.id)
    line("asked", "unknown" if call.at is None else call.at.isoformat())
    line("task", call.task or "(none)")
    line("variant", call.variant)
    line("outcome", call.outcome if call.delivered else f"{call.outcome}, not delivered")
    line("cost", f"{usd(call.cost_usd, 6)}" + (f" by price {call.price_id}" if call.price_id else ""))
    line("seconds", number(call.latency_s))
    if usage is not None:
        line(
            "tokens",
            f"{usage.input_tokens:,} in ({usage.cached_read:,} from the cache, {usage.cached_write:,} written to it), "
            f"{usage.output_tokens:,} out ({usage.reasoning_tokens:,} of reasoning)",
        )
    if why is not None:
        for name, value in _decided(why):
            line(name, value)
    for name in ("propensity", "prompt", "item", "group", "customer", "subject", "episode", "source"):
        if (value := getattr(call, name)) is not None:
            line(name, value)
    for key, value in call.tags.items():
        line("tag", f"{key} = {value}")
    for answer, probability in sorted(call.probabilities.items(), key=lambda one: -one[1])[:_MOST_PROBABLE]:
        line("probability", f"{number(probability)} of {answer}")
    line("question", "(not kept)" if call.input is None else asked_text(call.input))
    line("answer", ("(not kept)" if call.output_digest else "(none)") if call.output is None else answer_text(call.output))
    if call.attempts:
        print_table(
            "Attempts",
            ["n", "variant", "cause", "outcome", "cost", "seconds", "error"],
            [
                [str(a.n), a.variant, a.cause, a.outcome, usd(a.cost_usd, 6), number(a.latency_s), plain(a.error or "")]
                for a in call.attempts
            ],
            right=(0, 4, 5),
        )
    if said:
        print_table(
            "What was said about it",
            ["about", "at (UTC)", "source", "metric", "kind", "value", "content"],
            [
                [
                    "the call" if one.call is not None else "its episode",
                    f"{one.at:%Y-%m-%d %H:%M:%S}",
                    one.source,
                    one.metric,
                    one.kind,
                    "" if one.value is None else f"{one.value:g}",
                    "" if one.content is None else excerpt(answer_text(one.content)).text,
                ]
                for one in said
            ],
            right=(5,),
        )


def _decided(why: "Explained") -> Iterator[tuple[str, str]]:
    """The policy, the rule of it that decided, and by what, as named lines."""
    yield "policy", why.policy
    if why.unknown is not None:
        yield "rule", f"unknown: {why.unknown}"
        return
    yield "rule", f"{why.rule} of {why.rules}, line {why.line}: {why.text}"
    for name, value in why.named.items():
        yield "fact", f"{name} = {'(absent)' if value is None else f'{value:.6g}' if isinstance(value, float) else value}"
    if why.is_redacted:
        yield "note", "the journal has placeholders for some of what the policy saw, so rule and facts may have been others"


def groups(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show what kinds of call there are: volume, cost, latency, repetition and an example of each."""
    from freehold.journal.groups import groups as find_groups
    from freehold.journal.read import counts

    with opened(project) as home:
        found = find_groups(home.store, home.tenant)
        tasks = counts(home.store, home.tenant).tasks
    if as_json:
        print_json(found)
        return
    if not found:
        named = ", ".join(f"{task} ({n:,})" for task, n in sorted(tasks.items()))
        nothing = f"Every call has a task: {named}." if named else "No calls yet. Import some with 'freehold import FILE'."
        out().print(nothing, markup=False)
        return
    rows = [
        [
            g.id[:12],
            g.name,
            f"{g.calls:,}",
            usd(g.cost_usd, 2) + (f" ({g.unknown_costs:,} unknown)" if g.unknown_costs and g.cost_usd is not None else ""),
            "unknown" if g.p50_s is None else f"{number(g.p50_s, 2)} / {number(g.p95_s, 2)}",
            share(g.repetition),
            ", ".join(g.variants),
            g.example or "(content not kept)",
        ]
        for g in found
    ]
    print_table(
        "Calls without a task, by kind",
        ["group", "name", "calls", "cost", "p50 / p95 s", "repeated", "variants", "example"],
        rows,
        right=(2, 3, 4, 5),
    )
    out().print("Make one a task: freehold calls name GROUP TASK")


def name(
    group: Annotated[str, typer.Argument(help="A group's id, as 'freehold calls groups' shows it; its beginning will do.")],
    task: Annotated[str, typer.Argument(help="The task's name.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a group of calls a task."""
    from freehold.config import FILE_NAME
    from freehold.journal.naming import name_group

    with opened(project) as home:
        named = name_group(home.store, group, task, home.folder / FILE_NAME, home.tenant)
    if as_json:
        print_json(named)
    else:
        out().print(
            f"{named.calls:,} calls are task '{task}' now. Next: freehold certify {task} --reference VARIANT --metric METRIC", markup=False
        )
