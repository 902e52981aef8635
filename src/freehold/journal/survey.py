"""A look through a whole file before anything of it goes in: what `--strict` refuses it for, and how audits were drawn."""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from msgspec.structs import astuple

from freehold.errors import DataError
from freehold.journal.build import Builder
from freehold.journal.formats.record import Line
from freehold.journal.rows import digest_of


class Survey(NamedTuple):
    """What was found."""

    lines: int
    """How many lines there are."""
    last: int
    """The number of the last."""
    problems: list[tuple[int, str]]
    """The first lines with what is wrong with them, in order."""
    problem_count: int
    """How many there are in all."""
    drawn: dict[tuple[str | None, str], tuple[int, int]]
    """For each task and metric, how many of the task's items in this file carry a score, and how many there are."""


def survey(lines: Iterator[Line], build: Builder, most_problems: int) -> Survey:
    """Reads every line once. Keeps 24 bytes for each call and 32 for each score; nothing of their content.

    Two lines that give one call or score differently are a problem here, at the later one. Of `drawn`, n / N is the inclusion probability
    of an audit that drew n of the file's N items at random, each as likely as the other (simple random sampling without replacement).
    """
    problems: list[tuple[int, str]] = []
    seen = count = last = 0
    ids, contents, numbers = array("Q"), array("Q"), array("Q")
    items: dict[str | None, array[int]] = {}
    scored: dict[tuple[str | None, str], array[int]] = {}
    for number, record, problem, _ in lines:
        seen, last = seen + 1, number
        if record is not None:
            try:
                entry = build.entry(record)
            except (DataError, RecursionError) as error:
                problem = str(error)
            else:
                call = entry.call
                item = hash(call.item)
                items.setdefault(call.task, array("q")).append(item)
                for said in entry.feedback:
                    scored.setdefault((call.task, said.metric), array("q")).append(item)
                for id, content in ((call.id, astuple(call)), *((said.id, said.value) for said in entry.feedback)):
                    ids.append(int(id[:16], 16))
                    contents.append(int(digest_of(content)[:16], 16))
                    numbers.append(number)
        if problem:
            count += 1
            if len(problems) < most_problems:
                problems.append((number, problem))
    contradicted = _contradictions(ids, contents, numbers)
    count += len(contradicted)
    for later, earlier in contradicted.items():
        problems.append((later, f"differs from line {earlier}, which has the same item and variant; expected each once"))
    problems.sort()
    drawn = {key: (_distinct(some), _distinct(items[key[0]])) for key, some in scored.items()}
    return Survey(seen, last, problems[:most_problems], count, drawn)


def _contradictions(ids: "array[int]", contents: "array[int]", numbers: "array[int]") -> dict[int, int]:
    """Lines whose content differs from an earlier one of the same id, with the first of that id."""
    if not ids:
        return {}
    id_N, content_N, number_N = (np.frombuffer(column, np.uint64) for column in (ids, contents, numbers))
    order_N = np.argsort(id_N, kind="stable")
    id_N, content_N, number_N = id_N[order_N], content_N[order_N], number_N[order_N]
    starts_N = np.r_[True, id_N[1:] != id_N[:-1]]
    first_N = np.maximum.accumulate(np.where(starts_N, np.arange(len(id_N)), 0))
    return {int(number_N[i]): int(number_N[first_N[i]]) for i in np.flatnonzero(content_N != content_N[first_N])}


def _distinct(items: "array[int]") -> int:
    return len(np.unique(np.frombuffer(items, np.int64)))
