"""Variants that a program declares: what a task's `variants` takes beside the names of models.

Each function gives a `Declared`, and takes the name of a variant, or another `Declared`, as the one that is asked: they compose.
"""

from typing import NamedTuple

import msgspec

from freehold.catalog import Sampling, Variant
from freehold.errors import CallerError, OperatorError
from freehold.tables import VariantTable
from freehold.variants.functions import DEADLINE_S, Function, Functions

MOST = 100


class Declared(NamedTuple):
    """A variant, the functions it is made of, and those that it asks."""

    variant: Variant
    """The variant."""
    functions: Functions = Functions()
    """Its own functions."""
    parts: "tuple[Declared, ...]" = ()
    """The variants it asks, where those were declared with it."""

    @property
    def name(self) -> str:
        """What policies and reports call it."""
        return self.variant.id

    def all(self) -> "list[Declared]":
        """It, and every part of it."""
        return [self, *(found for part in self.parts for found in part.all())]


Of = str | Declared


def ask(
    model: str, *, sampling: Sampling | None = None, prompt: str = "production", examples: int = 0, name: str | None = None
) -> Declared:
    """A model, asked with settings of its own. `prompt`: a label or hash. `examples`: how many answered questions it is shown."""
    settings = sampling or Sampling()
    said = {**msgspec.structs.asdict(settings), "prompt-": None if prompt == "production" else prompt, "examples": examples or None}
    told = "-".join(f"{key}{value}" for key, value in said.items() if value is not None)
    variant = Variant(id=name or "-".join(filter(None, (model, told))), model=model, sampling=settings, prompt=prompt, examples=examples)
    return Declared(variant)


def think(model: str, *, effort: str | None = None, name: str | None = None) -> Declared:
    """A model that thinks before it answers: as hard as `effort` says in its provider's words, or, without one, by writing down its steps.

    The steps are kept apart from the answer.
    """
    settings = Sampling(effort=effort)
    return Declared(Variant(id=name or f"{model}-think", model=model, sampling=settings, steps=effort is None))


def vote(n: int | None = None, of: Of | tuple[Of, ...] = (), *, name: str | None = None) -> Declared:
    """The answer that most of `n` answers of one variant give (self-consistency), or that most of several variants give, each asked once:
    `vote(3, "cheap")`, `vote(of=("a", "b", "c"))`. Its confidence is their share; of equals the one that comes first.

    Let one variant sample: with temperature 0 all its answers are the same.
    """
    if isinstance(of, str | Declared):
        if n is None:
            raise CallerError(
                f"vote: how many answers of '{_name(of)}'? Say n, as in vote(3, …), or name several variants, as in vote(of=(…))"
            )
        return _over(of, "vote", _several(n), name or f"{_name(of)}-vote{n}")
    if n is not None or not 2 <= len(of) <= MOST:
        raise CallerError(f"vote: n is {n} and of names {len(of)} variants; expected from 2 to {MOST} of them, each asked once, and no n")
    asked = tuple(_name(one) for one in of)
    variant = Variant(id=name or f"vote-{'-'.join(asked)}", kind="vote", of=asked)
    return Declared(variant, parts=tuple(one for one in of if isinstance(one, Declared)))


def best_of(n: int, of: Of, score: Function, *, name: str | None = None, deadline_s: float = DEADLINE_S) -> Declared:
    """The best of `n` answers of one variant, by a function of an answer that gives a number."""
    return _over(of, "best_of", _several(n), name or f"{_name(of)}-best{n}", Functions(score=score, deadline_s=deadline_s))


def verify(check: Function | Of, of: Of, *, most: int = 1, name: str | None = None, deadline_s: float = DEADLINE_S) -> Declared:
    """An answer that is looked at, and given back to be revised `most` times at most. A policy sees `verified`.

    `check`: a function of an answer that gives True, or False or words that say what is wrong; or a variant that is asked whether it is right.
    """
    if not 0 <= most <= MOST:
        raise CallerError(f"verify: most is {most}; expected a number from 0 to {MOST}")
    named = name or f"{_name(of)}-verified"
    if isinstance(check, str | Declared):
        found = _over(of, "verify", most, named)
        parts = (*found.parts, *((check,) if isinstance(check, Declared) else ()))
        return Declared(msgspec.structs.replace(found.variant, by=_name(check)), found.functions, parts)
    return _over(of, "verify", most, named, Functions(check=check, deadline_s=deadline_s))


def guard(
    of: Of, *, before: Function | None = None, after: Function | None = None, name: str | None = None, deadline_s: float = DEADLINE_S
) -> Declared:
    """A variant that is asked only what `before` lets through, and whose answers are given only where `after` does.

    A function that gives False or `Pass` hands on to whoever comes next; one that raises `Refuse` has nobody answer.
    """
    if before is None and after is None:
        raise CallerError("guard: neither before nor after is given; give a function for at least one of them")
    return _over(of, "guard", 1, name or f"{_name(of)}-guarded", Functions(before=before, after=after, deadline_s=deadline_s))


def expert(
    expertise: str = "",
    *,
    deadline_s: float,
    price_usd: float,
    fallback: Of | None = None,
    wait_s: float | None = None,
    name: str | None = None,
) -> Declared:
    """A person who knows about something, in a word of yours, or anybody who answers questions. Where none has answered after `deadline_s`,
    `fallback` is asked. An answer costs `price_usd`, which is credited to whoever gave it. `wait_s`: as of `VariantTable`."""
    named = name or "-".join(filter(None, ("expert", expertise)))
    asked = None if fallback is None else _name(fallback)
    try:
        table = VariantTable(kind="expert", expertise=expertise, deadline_s=deadline_s, wait_s=wait_s, price_usd=price_usd, fallback=asked)
    except OperatorError as error:
        raise CallerError(f"expert: {error}") from None
    return Declared(Variant(id=named, **table.fields()), parts=(fallback,) if isinstance(fallback, Declared) else ())


def _several(n: int) -> int:
    if not 2 <= n <= MOST:
        raise CallerError(f"n is {n}; expected a number from 2 to {MOST} of answers to choose from")
    return n


def _name(of: Of) -> str:
    return of if isinstance(of, str) else of.name


def _over(of: Of, kind: str, n: int, name: str, functions: Functions = Functions()) -> Declared:  # noqa: B008 frozen
    variant = msgspec.convert({"id": name, "kind": kind, "of": _name(of), "n": n}, Variant)
    return Declared(variant, functions, (of,) if isinstance(of, Declared) else ())
