"""What an unchanged client already sends, mapped to a task: the rows of `[[match]]` in their order, the first that fits.

A condition is met, is not, or cannot be decided because nobody knows what it looks at: the journal keeps no headers and no keys. A request
that comes in is known whole. Compiled once; at a request only the rows that its model may mean are looked at, and of it only what they ask.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Literal, NamedTuple, TypeAlias

from freehold.chat import JSON, system_text_of, tools_of
from freehold.gateway.pattern import Pattern
from freehold.gateway.reply import Headers
from freehold.tables import MatchRow

_MOST_MODELS = 1_000
"""Model names remembered: a client that makes up a new one each time shall not grow us."""

Fit: TypeAlias = Literal["fits", "misses", "unknown"]


class Verdict(NamedTuple):
    """What a row says of a request."""

    fit: Fit
    """Whether all its conditions are met."""
    condition: str
    """The first that is not met, or that could not be decided; empty where all are met."""


ALL_MET = Verdict("fits", "")


class Asked:
    """What rows look at in a request. None is unknown; what takes time is worked out once somebody asks for it."""

    def __init__(
        self, models: Sequence[str] | None, body: Mapping[str, JSON] | None, headers: Headers | None, key: Sequence[str] | None
    ) -> None:
        """`models`: the names it may have asked for. `key`: what its key is known by. `headers`: names in lower case."""
        self.models = models
        self.headers = headers
        self.key = key
        self._body = body

    @cached_property
    def system(self) -> str | None:
        """The words that belong to the task."""
        return None if self._body is None else system_prompt_of(self._body)

    @cached_property
    def system_hash(self) -> str | None:
        """What they are known by."""
        return None if self.system is None else hash_of(self.system)

    @cached_property
    def tools(self) -> frozenset[str] | None:
        """The names of the tools offered."""
        return None if self._body is None else frozenset(tools_of(self._body))


Condition: TypeAlias = Callable[[Asked], bool | None]
"""Whether a request meets it; None where that is unknown."""


class Rule:
    """A row, ready to be compared."""

    def __init__(self, row: MatchRow) -> None:
        self.row = row
        self.model = None if row.model is None else Pattern(row.model)
        self._conditions = tuple((is_met, Verdict("misses", name), Verdict("unknown", name)) for name, is_met in self._compiled(row))

    def may_mean(self, model: str) -> bool:
        """Whether it is about this model, or about any."""
        return self.model is None or self.model.fits(model)

    def verdict(self, asked: Asked) -> Verdict:
        """Whether the request fits: one condition that is not met is enough to say no, whatever else is unknown."""
        verdict = ALL_MET
        for is_met, misses, unknown in self._conditions:
            met = is_met(asked)
            if met is None:
                verdict = unknown if verdict is ALL_MET else verdict
            elif not met:
                return misses
        return verdict

    def _compiled(self, row: MatchRow) -> Iterator[tuple[str, Condition]]:
        """The conditions, those that are decided fastest first."""
        if row.model is not None:
            yield "model", _of_any(lambda asked: asked.models, Pattern(row.model))
        if row.key is not None:
            yield "key", _of_any(lambda asked: asked.key, Pattern(row.key))
        for name, pattern in row.header.items():
            yield "header", _of_header(name.lower().encode(), Pattern(pattern))
        if row.system_prompt is not None:
            yield "system_prompt", _of_system(Pattern(row.system_prompt))
        if (prefix := row.system_hash) is not None:
            yield "system_hash", lambda asked: None if asked.system_hash is None else asked.system_hash.startswith(prefix)
        if tools := frozenset(row.tools):
            yield "tools", lambda asked: None if asked.tools is None else tools <= asked.tools


class Matcher:
    """The rows of a configuration."""

    def __init__(self, rows: Sequence[MatchRow]) -> None:
        self.rules = tuple(map(Rule, rows))
        self._by_model: dict[str, tuple[Rule, ...]] = {}

    def row_of(self, body: Mapping[str, JSON], headers: Headers, key: Sequence[str] = ()) -> MatchRow | None:
        """The row that a request of either door belongs to; None for one that passes through unchanged.

        `headers` have their names in lower case. `key`: the id and the owner of the key it came with, empty without one.
        """
        if not self.rules:
            return None
        asked_for = body.get("model")
        model = asked_for if isinstance(asked_for, str) else ""
        rules = self._by_model.get(model)
        if rules is None:
            if len(self._by_model) >= _MOST_MODELS:
                self._by_model.clear()
            rules = self._by_model[model] = tuple(rule for rule in self.rules if rule.may_mean(model))
        if not rules:
            return None
        asked = Asked((model,), body, headers, key)
        for rule in rules:
            if rule.verdict(asked) is ALL_MET:
                return rule.row
        return None


def system_prompt_of(body: Mapping[str, JSON]) -> str:
    """The words that belong to the task: Anthropic's `system`, and the messages of the system and the developer, a line break between them.

    The same for a request of either door and for what the journal keeps of it.
    """
    messages = body.get("messages")
    said = [one for one in messages if isinstance(one, dict) and one.get("role") in _OF_THE_TASK] if isinstance(messages, list) else []
    if (beside := body.get("system")) is not None:
        said.insert(0, {"role": "system", "content": beside})
    return system_text_of(said)


def hash_of(system_prompt: str) -> str:
    """What a system prompt is known by: SHA-256 of its UTF-8, in hex."""
    return sha256(system_prompt.encode(errors="surrogatepass")).hexdigest()


_OF_THE_TASK = ("system", "developer")


def _of_any(names: Callable[[Asked], Sequence[str] | None], pattern: Pattern) -> Condition:
    def is_met(asked: Asked) -> bool | None:
        known = names(asked)
        return None if known is None else any(pattern.fits(name) for name in known)

    return is_met


def _of_header(name: bytes, pattern: Pattern) -> Condition:
    def is_met(asked: Asked) -> bool | None:
        if asked.headers is None:
            return None
        return any(pattern.fits(value.decode(errors="replace")) for known, value in asked.headers if known == name)

    return is_met


def _of_system(pattern: Pattern) -> Condition:
    return lambda asked: None if asked.system is None else pattern.fits(asked.system)
