"""Recorded traffic through the rows of `[[match]]`: what each of them would have hit, and a row for what none of them does.

The journal keeps no headers and no keys, of a call that has a task not which model was asked for, and of a text without messages no system
prompt: a row that looks at those could hit a call, and nobody can say more.
"""

import json
import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from freehold.gateway.match import Asked, Fit, Matcher
from freehold.journal.call import Call
from freehold.journal.groups import suggested_name, unique_name
from freehold.tables import MatchRow

_MOST_GROUPS = 10_000
"""Kinds told apart: a product that writes names into the beginning of its prompt shall not grow us."""
_BEGINNING = 60
"""Characters of a system prompt that tell its kind."""
_VARIES = re.compile(r"\d+|\[(?:EMAIL|SECRET|IP|IBAN|CARD|PHONE)\]")
"""What differs between prompts of one kind: numbers, and what was taken out before it was kept."""
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class RowHits(msgspec.Struct, frozen=True, kw_only=True):
    """What one row does to recorded traffic."""

    n: int
    """Its place, from 1."""
    row: MatchRow
    """What it says."""
    calls: int
    """Calls that it fits, and no row above for sure."""
    could: int
    """Calls that it fits as far as is known."""
    example: str | None
    """The newest of them; None where it hits nothing."""


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one kind without a task that no row could hit."""

    calls: int
    """How many."""
    model: str
    """What they ask for, as far as is known."""
    system_prompt: str | None
    """A pattern of the beginning of their system prompt; None where none is kept."""
    system_hash: str | None
    """What the prompt is known by; None where they have several or none is kept."""
    tools: tuple[str, ...]
    """The tools they offer."""
    example: str
    """The newest of them."""
    rows: str
    """What would make them a task, to be put into `freehold.toml`."""


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows do to recorded traffic. Each call is counted in one place: of a row, undecided, named or unmatched."""

    calls: int
    """Calls that were looked at."""
    undecided: int
    """Those that no row fits for sure, and that some row could hit."""
    named: int
    """Those that no row could hit, and that have a task all the same."""
    unmatched: int
    """Those that no row could hit, and that have none."""
    rows: tuple[RowHits, ...]
    """The rows, in order."""
    groups: tuple[Unmatched, ...]
    """The largest kinds of what is unmatched."""


class _Hits:
    """Counts for one row."""

    def __init__(self) -> None:
        self.calls = self.could = 0
        self.example: str | None = None


class _Kind:
    """Counts for one kind of unmatched call."""

    def __init__(self, first: Call, asked: Asked) -> None:
        self.first = first
        self.calls = 0
        self.example = first.id
        self.hash = asked.system_hash


def try_rows(calls: Iterable[Call], matcher: Matcher, providers: Sequence[str], tasks: Collection[str], most_groups: int) -> Matched:
    """Compares calls, oldest first, with the rows. `providers` and `tasks` are those that are configured. Memory does not grow with calls."""
    hits = [_Hits() for _ in matcher.rules]
    kinds: dict[tuple[str, str | None, tuple[str, ...]], _Kind] = {}
    count = undecided = named = unmatched = 0
    for call in calls:
        count += 1
        asked = _asked(call, providers)
        verdict = _counted(call, asked, matcher, hits)
        if verdict == "unknown":
            undecided += 1
        elif verdict == "misses" and call.task is not None:
            named += 1
        elif verdict == "misses":
            unmatched += 1
            key = _kind_of(call, asked)
            if key in kinds or len(kinds) < _MOST_GROUPS:
                kind = kinds.setdefault(key, _Kind(call, asked))
                kind.calls, kind.example = kind.calls + 1, call.id
                kind.hash = kind.hash if kind.hash == asked.system_hash else None
    largest = sorted(kinds.items(), key=lambda item: -item[1].calls)[:most_groups]
    taken: set[str] = set()
    return Matched(
        calls=count,
        undecided=undecided,
        named=named,
        unmatched=unmatched,
        rows=tuple(
            RowHits(n=n, row=rule.row, calls=hit.calls, could=hit.could, example=hit.example)
            for n, (rule, hit) in enumerate(zip(matcher.rules, hits, strict=True), 1)
        ),
        groups=tuple(_unmatched(*key, kind, tasks, taken) for key, kind in largest),
    )


def _counted(call: Call, asked: Asked, matcher: Matcher, hits: Sequence[_Hits]) -> Fit:
    """Counts a call at the first row that it fits for sure, and at those above that it could fit."""
    ended: Fit = "misses"
    for rule, hit in zip(matcher.rules, hits, strict=True):
        fit = rule.verdict(asked).fit
        if fit == "misses":
            continue
        hit.example = call.id
        if fit == "fits":
            hit.calls += 1
            return fit
        hit.could += 1
        ended = fit
    return ended


def _asked(call: Call, providers: Sequence[str]) -> Asked:
    """What is known of the request that a call is the record of."""
    models: tuple[str, ...] | None = (call.variant, *(f"{provider}/{call.variant}" for provider in providers))
    if call.source != "gateway":
        models = (call.variant, _undated(call.variant))  # a log names the dated model that answered, where an undated one was asked for
    elif call.task is not None:
        models = None  # the task's policy said who answers
    body = {"messages": call.input} if isinstance(call.input, list) else call.input
    return Asked(models, body if isinstance(body, dict) and "messages" in body else None, None, None)


def _undated(model: str) -> str:
    return _DATE.sub("", model)


def _kind_of(call: Call, asked: Asked) -> tuple[str, str | None, tuple[str, ...]]:
    """Model, pattern of the system prompt, and tools: what the row says that would hit it."""
    model = call.variant if call.source == "gateway" else _undated(call.variant)
    system = asked.system
    if system is not None:
        beginning = system if len(system) <= _BEGINNING else system[:_BEGINNING].rsplit(" ", 1)[0] + "*"
        system = _VARIES.sub("*", beginning)
    return model, system, tuple(sorted(asked.tools or ()))


def _unmatched(model: str, system: str | None, tools: tuple[str, ...], kind: _Kind, tasks: Collection[str], taken: set[str]) -> Unmatched:
    name = unique_name(suggested_name(kind.first.input), taken)
    taken.add(name)
    return Unmatched(
        calls=kind.calls,
        model=model,
        system_prompt=system,
        system_hash=kind.hash,
        tools=tools,
        example=kind.example,
        rows=_written(MatchRow(task=name, model=model, system_prompt=system, tools=tools), None if name in tasks else model),
    )


def _written(row: MatchRow, reference: str | None) -> str:
    """A row as it stands in the file, with the table of its task where `reference` is to answer it."""
    lines = ["[[match]]"]
    for name, value in row.conditions().items():
        lines.append(f"{name} = {_quoted(value) if isinstance(value, str) else '[' + ', '.join(map(_quoted, value)) + ']'}")
    lines.append(f"task = {_quoted(row.task)}")
    if reference is not None:
        lines += ["", f"[tasks.{row.task}]", f"reference = {_quoted(reference)}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as TOML writes it, with nothing in it that a terminal does not show."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08X}" for one in json.dumps(text, ensure_ascii=False))
