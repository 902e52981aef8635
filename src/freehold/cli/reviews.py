"""The commands about reviewing: opening queues, inviting people, sitting down at a desk, and what came of it."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, opened, out, print_json, print_table
from freehold.errors import CallerError
from freehold.store.times import span_of

if TYPE_CHECKING:
    from freehold.feedback.desk import Desk
    from freehold.feedback.queue import Queue
    from freehold.project import Project

_TaskArgument = Annotated[str, typer.Argument(help="The task.")]
_QueueArgument = Annotated[
    str, typer.Argument(metavar="QUEUE", help="The queue's id, as 'freehold review list' shows it; its beginning will do.")
]
_WORK = "work"


class Rules(StrEnum):
    """By what items are chosen."""

    RANDOM = "random"
    CONFIDENCE = "confidence"
    DISAGREEMENT = "disagreement"
    REGION = "region"
    INTERVAL = "interval"


class _ReviewGroup(TyperGroup):
    """`freehold review TASK` is `freehold review work TASK`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first and not first.startswith("-") and first not in self.commands:
            args = [_WORK, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    review = typer.Typer(
        cls=_ReviewGroup,
        help="People judge answers: 'freehold review TASK' sits down at a desk; the other commands are for whoever runs the queues.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    review.command(_WORK)(work)
    review.command("open")(open_queue)
    review.command("list")(list_queues)
    review.command("show")(show)
    review.command("status")(status)
    review.command("close")(close)
    review.command("export")(export)
    review.command("exclude")(exclude)
    review.command("invite")(invite)
    review.command("tags")(tags)
    review.command("revoke")(revoke)
    review.command("reviewers")(reviewers)
    app.add_typer(review, name="review")


def work(
    task: _TaskArgument,
    reviewer: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who reviews; your login name when left out.")] = None,
    queue: Annotated[str | None, typer.Option(help="Which queue; the oldest one that has something for you when left out.")] = None,
    files: Annotated[Path | None, typer.Option(metavar="DIR", help="Where 'w' writes what a terminal cannot show.")] = None,
    project: ProjectOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each question as a line of JSON, and take a line of JSON for each.")
    ] = False,
) -> None:
    """Judge answers blind, in an order of your own. Stop at any time; the next run goes on. 'freehold review TASK' is short for it.

    In a terminal by single keys. Piped, by one line for each question, as 'freehold label' takes it; also flag REASON, note TEXT, page, diff, write, guide.
    """
    from freehold.cli.reviewing import by_json, sit_down
    from freehold.feedback.queues import find_queue
    from freehold.feedback.reviewers import at_this_desk
    from freehold.feedback.seat import Seat

    with opened(project) as home:
        now = datetime.now(UTC)
        home.task(task)
        who = at_this_desk(home.store, home.tenant, reviewer or _login(), now)
        desk = desk_of(home)
        found = desk.seats(who, task)
        if queue is not None:
            chosen = find_queue(home.store, home.tenant, queue)
            found = [one for one in found if one.id == chosen.id]
        seats = [Seat(desk, one, who) for one in found]
        with_work = [seat for seat in seats if seat.has_work()]
        if not seats:
            raise CallerError(
                f"No queue of task '{task}' is open to {who.name}. 'freehold review open {task}' opens one; one with --tags wants people "
                f"invited with them: 'freehold review invite {who.name} --tags …'."
            )
        if not with_work:
            why = " A senior is asked where reviewers disagree or flag." if who.role == "senior" else ""
            out().print(f"There is nothing for {who.name} in task '{task}' now.{why}", markup=False)
            return
        seat = with_work[0]
        was_interrupted = by_json(seat) if as_json else sit_down(seat, out(), files)
    if was_interrupted:
        exit_with(130)


def open_queue(
    task: _TaskArgument,
    rule: Annotated[Rules, typer.Option(help="By what items are chosen; each has its probability, which is kept.")] = Rules.RANDOM,
    size: Annotated[
        int, typer.Option(min=1, help="About how many questions; by 'random' all queues and 'freehold label' count from one start.")
    ] = 100,
    region: Annotated[
        str | None, typer.Option(metavar="CONDITION", help="What --rule region looks for, such as 'tag.tier == \"critical\"'.")
    ] = None,
    explore: Annotated[
        float | None, typer.Option(help="The share of the draw that looks at no rule, 0.25 when left out; with 0 labels certify nothing.")
    ] = None,
    reviewers: Annotated[int, typer.Option(help="How many judge each item.")] = 1,
    unanimous: Annotated[
        bool, typer.Option("--unanimous", help="Ask a senior wherever not all agree; else wherever there is no majority.")
    ] = False,
    tags: Annotated[str | None, typer.Option(metavar="A,B,…", help="What a reviewer has to know about.")] = None,
    gold: Annotated[int, typer.Option(help="How many items with known answers to hide among the others.")] = 0,
    gold_file: Annotated[
        Path | None, typer.Option(help="Gold items of your own: JSON lines with 'item' and 'answer', or 'scores' by variant.")
    ] = None,
    guidelines: Annotated[Path | None, typer.Option(metavar="FILE", help="What reviewers are told.")] = None,
    tariff: Annotated[
        float | None, typer.Option(metavar="USD", help="What an accepted verdict earns; as [credits] say when left out.")
    ] = None,
    by_worth: Annotated[bool, typer.Option("--by-worth", help="Weigh the tariff by what verdicts were worth.")] = False,
    metric: Annotated[str | None, typer.Option(help="What is judged; the task's own when left out.")] = None,
    reference: Annotated[str | None, typer.Option(help="The variant to compare with; the task's own when left out.")] = None,
    variants: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Whose answers to judge beside it; all that were recorded when left out.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a queue of items for people to judge. What it asks is fixed from then on."""
    from freehold.feedback.chance import EXPLORE
    from freehold.feedback.open_queue import QueueRequest
    from freehold.feedback.open_queue import open_queue as open_new
    from freehold.feedback.population import LabelRequest
    from freehold.promotion.chosen import worth_of

    about = LabelRequest(task, metric, reference, _names(variants) if variants is not None else None, size)
    request = QueueRequest(
        about,
        rule.value,
        region or "",
        EXPLORE if explore is None else explore,
        reviewers,
        unanimous,
        _names(tags),
        _text(guidelines),
        tariff,
        by_worth,
        gold,
        gold_file,
    )
    with opened(project) as home:
        home.task(task)
        worth = worth_of(home, about, request.rule, request.region)
        made = open_new(home.store, home.tenant, home.catalog, request, worth, datetime.now(UTC))
    if as_json:
        print_json({"queue": made.queue, "drawn": made.drawn, "questions": made.questions, "gold": made.gold})
        return
    q = made.queue
    out().print(q.id, markup=False)
    told = notes()
    for name, why in made.asked.dropped.items():
        told.print(f"Not a candidate: {name}, because {why}.", markup=False, soft_wrap=True)
    proves = (
        "Its labels teach and estimate, and certify nothing: some items could not be drawn."
        if q.floor is None
        else f"Every item could be drawn with probability {q.floor:.3g} or more: its labels certify."
    )
    told.print(
        f"{made.questions:,} questions for {q.reviewers} each, {made.gold:,} of them gold; {made.drawn:,} of {len(made.asked.order):,} items "
        f"drawn. {proves} Review with 'freehold review {task} --as NAME'.",
        markup=False,
        soft_wrap=True,
    )


def list_queues(
    task: Annotated[str | None, typer.Argument(help="A task; all of them when left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every queue, and how far it is."""
    from freehold.feedback.queues import queues_of, standings

    with opened(project) as home:
        found = standings(home.store, queues_of(home.store, home.tenant, task))
    if as_json:
        print_json(found)
        return
    if not found:
        out().print("No queues. 'freehold review open TASK' opens one.")
        return
    cells = [
        [
            one.queue.id,
            one.queue.task,
            one.queue.metric,
            one.queue.rule,
            str(sum(one.items.values())),
            str(one.queue.reviewers),
            *(str(one.items.get(state, 0)) for state in ("decided", "disputed")),
            str(one.gold),
            "closed" if one.queue.closed_at is not None else "open",
        ]
        for one in found
    ]
    columns = ["queue", "task", "metric", "rule", "questions", "each by", "decided", "disputed", "gold", "state"]
    print_table("", columns, cells, right=(4, 5, 6, 7, 8))


def show(queue: _QueueArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show one queue: what it asks, of whom, by what guidelines, and what is disputed or flagged."""
    from freehold.feedback.queues import contents, find_queue, standings

    with opened(project) as home:
        found = find_queue(home.store, home.tenant, queue)
        (standing,) = standings(home.store, [found])
        items, verdicts = contents(home.store, found)
    named = {item.ticket: item.item for item in items}
    flags = [{"item": named[one.ticket], "reviewer": one.reviewer, "reason": one.said.reason} for one in verdicts if one.state == "flagged"]
    disputed = [item.item for item in items if item.state == "disputed"]
    if as_json:
        print_json({"queue": found, "items": standing.items, "gold": standing.gold, "disputed": disputed, "flags": flags})
        return
    beside = f" beside {', '.join(found.variants)}" if found.variants else ""
    lines = [
        f"Queue {found.id} of task '{found.task}' by {found.metric}: {found.reference}{beside}, chosen by {found.rule} {found.region}".rstrip(),
        f"{found.reviewers} judge each, {'all' if found.is_unanimous else 'more than half'} have to agree; {_paid(found)}.",
        f"Items: {', '.join(f'{count:,} {state}' for state, count in sorted(standing.items.items()))}; {standing.gold:,} gold.",
        f"Excluded: {', '.join(found.excluded)}." if found.excluded else "Nobody is excluded.",
        f"Guidelines:\n{found.guidelines}" if found.guidelines else "No guidelines.",
        *(f"Disputed: {item}" for item in disputed[:20]),
        *(f"Flagged by {flag['reviewer']}: {flag['item']}: {flag['reason']}" for flag in flags[:20]),
    ]
    out().print("\n".join(lines), markup=False, soft_wrap=True)


def close(queue: _QueueArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """End a queue. What somebody was shown and nobody decided counts as wrong; what nobody was shown is drawn no more."""
    from freehold.feedback.closing import close as close_it

    with opened(project) as home:
        ended = close_it(home.store, home.tenant, queue, home.catalog, home.config.credits, datetime.now(UTC))
    if as_json:
        print_json(ended)
        return
    out().print(
        f"Queue {ended.queue.id} is closed: {ended.decided:,} items have a label, {ended.undecided:,} were shown and have none, which counts as "
        f"wrong, {ended.withdrawn:,} were shown to nobody and are drawn no more.",
        markup=False,
        soft_wrap=True,
    )


def export(
    queue: _QueueArgument,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to; standard output when left out.")] = None,
    project: ProjectOption = None,
) -> None:
    """Write every verdict as a line of JSON: who, when, how long, what, whether gold was missed."""
    import sys

    import msgspec

    from freehold.feedback.queues import export as rows
    from freehold.feedback.queues import find_queue
    from freehold.store.files import private_file

    with opened(project) as home:
        found = find_queue(home.store, home.tenant, queue)
        lines = [msgspec.json.encode(row) + b"\n" for row in rows(home.store, found, home.catalog.metric(found.metric))]
    if file is None:
        sys.stdout.write(b"".join(lines).decode())
        return
    with private_file(file) as handle:
        handle.writelines(lines)
    notes().print(f"{len(lines):,} lines in {file}.", markup=False, soft_wrap=True)


def exclude(
    queue: _QueueArgument,
    reviewer: Annotated[str, typer.Argument(metavar="NAME", help="The reviewer.")],
    undo: Annotated[bool, typer.Option("--undo", help="Have their verdicts count again.")] = False,
    project: ProjectOption = None,
) -> None:
    """Have a reviewer's verdicts in a queue count no more. Labels follow at once; what is short of verdicts then is asked of others."""
    from freehold.feedback.closing import exclude as exclude_them

    with opened(project) as home:
        count = exclude_them(home.store, home.tenant, queue, reviewer, home.catalog, home.config.credits, datetime.now(UTC), not undo)
    out().print(f"{count:,} verdicts of {reviewer} count {'again' if undo else 'no more'}.", markup=False)


def invite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What their verdicts are kept under.")],
    tags: Annotated[str | None, typer.Option(metavar="A,B,…", help="What they know about.")] = None,
    senior: Annotated[bool, typer.Option("--senior", help="They decide where reviewers disagree.")] = False,
    expires: Annotated[str, typer.Option(metavar="SPAN", help="How long the invitation is taken: 12h, 7d.")] = "7d",
    url: Annotated[str, typer.Option(help="Where the gateway is reached.")] = "http://127.0.0.1:4141",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite somebody to review: prints a link that is taken once. Inviting again gives new tags, and a new link."""
    from freehold.feedback.reviewers import invite as invite_them

    now = datetime.now(UTC)
    with opened(project) as home:
        secret = invite_them(
            home.store, home.tenant, name, "senior" if senior else "reviewer", _names(tags), now, span_of("--expires", expires)
        )
    link = f"{url.rstrip('/')}/review#{secret}"
    if as_json:
        print_json({"reviewer": name, "invitation": secret, "link": link})
        return
    out().print(link, markup=False, soft_wrap=True)
    notes().print(f"For {name}, to be taken once within {expires}. It is kept nowhere and not shown again.", markup=False)


def tags(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The reviewer.")],
    about: Annotated[str, typer.Argument(metavar="A,B,…", help="What they know about from now on; '' for nothing in particular.")],
    project: ProjectOption = None,
) -> None:
    """Say anew what somebody knows about. Their invitation or token stays as it is."""
    from freehold.feedback.reviewers import set_tags

    with opened(project) as home:
        found = set_tags(home.store, home.tenant, name, _names(about))
    out().print(f"{name} knows about {', '.join(found.tags) or 'nothing in particular'}.", markup=False)


def revoke(name: Annotated[str, typer.Argument(metavar="NAME", help="The reviewer.")], project: ProjectOption = None) -> None:
    """Let somebody review no more. What they said stays."""
    from freehold.feedback.reviewers import revoke as revoke_them

    with opened(project) as home:
        revoke_them(home.store, home.tenant, name, datetime.now(UTC))
    out().print(f"{name} may review no more.", markup=False)


def reviewers(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show everybody who was invited."""
    from freehold.feedback.reviewers import reviewers_of

    with opened(project) as home:
        found = reviewers_of(home.store, home.tenant)
    if as_json:
        print_json(found)
        return
    cells = [
        [
            one.name,
            one.role,
            ", ".join(one.tags),
            "revoked" if one.revoked_at else "joined" if one.has_token else "invited" if one.invited_until else "",
        ]
        for one in found
    ]
    print_table("", ["reviewer", "role", "knows about", "state"], cells)


def status(
    task: _TaskArgument,
    queue: Annotated[str | None, typer.Option(help="One queue; all of the task's when left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far reviewers are, how far they agree and can be trusted, what gold they missed, and what they earned."""
    from freehold.cli.review_status import print_status
    from freehold.feedback.queues import queues_of
    from freehold.feedback.review_status import status_of

    with opened(project) as home:
        home.task(task)
        found = [one for one in queues_of(home.store, home.tenant, task) if queue is None or one.id.startswith(queue)]
        if not found:
            raise CallerError(f"Task '{task}' has no review queue{f' {queue}' if queue else ''}. 'freehold review open {task}' opens one.")
        told = [status_of(home.store, one, home.catalog.metric(one.metric), home.config.credits) for one in found]
    print_json(told) if as_json else print_status(told)


def desk_of(home: "Project") -> "Desk":
    """The desk of a project that is open."""
    from freehold.feedback.desk import Desk

    content = home.config.journal.content

    def content_of(task: str) -> Any:
        known = home.catalog.tasks.get(task)
        return (known.content if known else None) or content

    return Desk(home.store, home.tenant, home.catalog, content_of, lambda: datetime.now(UTC))


def _paid(queue: "Queue") -> str:
    if queue.tariff_usd is None:
        return "verdicts are paid as [credits] say"
    return f"${queue.tariff_usd:g} a verdict{', by its worth' if queue.pays_worth else ''}"


def _names(said: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (said or "").split(",") if name.strip())


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"--guidelines {path} cannot be read: {error}") from None


def _login() -> str:
    from freehold.cli.labels import login

    return login()
