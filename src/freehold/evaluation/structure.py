"""Scorers of answers with a structure: a JSON schema, fields, sets, spans."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.evaluation.pattern import Pattern, TooSlow
from freehold.evaluation.plain import Plain, Settings, at, binary, parsed, yes
from freehold.evaluation.scorer import Case, Score
from freehold.evaluation.text import f1, plain_words
from freehold.journal.rows import digest_of

_MOST = 10_000
"""Members of a set that are looked at."""
_MOST_SPANS = 1_000
_NO_SPANS = f"is no list of spans, objects with start, end and label, up to {_MOST_SPANS:,} of them"


def json_schema(settings: Settings) -> Plain:
    """1 where the answer is JSON that the schema in the file behind the colon takes: `json_schema:answer.json`. Draft 2020-12 where it names none.

    References go nowhere but within the schema: nothing is fetched. A `pattern` that takes too long on a text is no score.
    """
    from jsonschema import SchemaError, ValidationError
    from jsonschema.validators import Draft202012Validator, extend, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not settings.option:
        raise CallerError(f"scorer '{settings.name}' takes the file of a JSON schema behind the colon, such as json_schema:answer.json")
    try:
        schema = msgspec.json.decode(settings.file(settings.option).read_bytes())
        kind: Any = validator_for(schema, Draft202012Validator)
        kind.check_schema(schema)
    except (msgspec.DecodeError, SchemaError, UnicodeError) as error:
        raise CallerError(f"scorer '{settings.name}': {settings.option} is no JSON schema: {str(error).splitlines()[0]}") from None

    def pattern(validator: Any, said: str, instance: JSON, _: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not Pattern(settings.name, said).is_in(instance):
            yield ValidationError(f"{instance!r} does not match {said!r}")

    validator = extend(kind, {"pattern": pattern})(schema, registry=Registry())

    def of(case: Case) -> Score:
        value = parsed(case.output)
        try:
            error = next(iter(validator.iter_errors(value)), None)
        except Unresolvable as unknown:
            return Score(None, f"the schema refers to what it does not hold: {str(unknown)[:200]}")
        except TooSlow as slow:
            return Score(None, str(slow))
        return yes(error is None, "" if error is None else f"{'.'.join(map(str, error.absolute_path)) or 'it'}: {error.message[:200]}")

    return Plain(binary(settings.name, deterministic=True), of)


def fields(settings: Settings) -> Plain:
    """The share of fields that the answer has right: those behind the colon, `fields:queue,address.city`, or all of the right answer's.

    Texts are compared as `normalised` does, and numbers by value.
    """
    named = [name.strip() for name in settings.option.split(",") if name.strip()]

    def of(case: Case) -> Score:
        said, right = parsed(case.output), parsed(case.truth)
        if not isinstance(right, dict):
            return Score(None, "the right answer is no object")
        wanted = named or list(right)
        if not wanted:
            return Score(None, "the right answer has no fields")
        missing = [name for name in wanted if not at(right, name)[0]]
        if missing:
            return Score(None, f"the right answer has no field '{missing[0]}'")
        hits = {name: float(_is_same(at(said, name), at(right, name)[1])) for name in wanted}
        wrong = [name for name, hit in hits.items() if not hit]
        return Score(sum(hits.values()) / len(hits), f"wrong: {', '.join(wrong)[:200]}" if wrong else "", hits)

    return Plain(Metric(id=settings.name, deterministic=True), of, True)


def set_f1(settings: Settings) -> Plain:
    """F1 of two sets: lists of values, each counted once, in any order; a text is one value for each of its lines, or by its commas.

    Texts are compared as `normalised` does.
    """
    settings.no_option()

    def of(case: Case) -> Score:
        said, right = set(_members(case.output)), set(_members(case.truth))
        return f1(len(said & right), len(said), len(right))

    return Plain(Metric(id=settings.name, deterministic=True), of, True)


def span_f1(settings: Settings) -> Plain:
    """F1 of marked parts of a text, each with `start`, `end` and where there is one a `label`: right where all three are (CoNLL's).

    Beside it `overlap_f1`: how many characters are marked rightly.
    """
    settings.no_option()

    def of(case: Case) -> Score:
        right = _spans(case.truth)
        if right is None:
            return Score(None, f"the right answer {_NO_SPANS}")
        said = _spans(case.output)
        if said is None:
            return Score(0.0, f"the answer {_NO_SPANS}")
        score = f1((Counter(said) & Counter(right)).total(), len(said), len(right))
        overlap = sum(_overlap(one, other) for one in _union(said) for other in _union(right))
        by_character = f1(overlap, sum(end - start for start, end, _ in _union(said)), sum(end - start for start, end, _ in _union(right)))
        return score._replace(parts={**score.parts, "overlap_f1": by_character.value or 0.0})

    return Plain(Metric(id=settings.name, deterministic=True), of, True)


def _is_same(said: tuple[bool, JSON], right: JSON) -> bool:
    found, value = said
    if not found:
        return False
    if isinstance(value, str) and isinstance(right, str):
        return plain_words(value) == plain_words(right)
    is_number = type(value) in (int, float) and type(right) in (int, float)
    return bool(value == right) if is_number else digest_of(value) == digest_of(right)


def _members(value: JSON) -> Iterator[str]:
    value = parsed(value)
    if isinstance(value, str):
        value = [part.lstrip(" -*•\t") for part in (value.splitlines() if "\n" in value.strip() else value.split(","))]
        value = [part for part in value if part.strip()]
    members = value if isinstance(value, list) else [] if value is None else [value]
    for member in members[:_MOST]:
        yield plain_words(member) if isinstance(member, str) else digest_of(member)


Span = tuple[int, int, str]


def _spans(value: JSON) -> list[Span] | None:
    value = parsed(value)
    if not isinstance(value, list) or len(value) > _MOST_SPANS:
        return None
    spans: list[Span] = []
    for one in value:
        start, end, label = (one.get("start"), one.get("end"), one.get("label", "")) if isinstance(one, dict) else (None, None, "")
        if isinstance(one, list) and len(one) in (2, 3):
            start, end, label = (*one, "")[:3]
        if type(start) is not int or type(end) is not int or not 0 <= start <= end or not isinstance(label, str):
            return None
        spans.append((start, end, label))
    return spans


def _union(spans: list[Span]) -> list[Span]:
    """Spans of one label that touch or overlap as one, so that no character counts twice."""
    joined: list[Span] = []
    for start, end, label in sorted(spans, key=lambda span: (span[2], span[0])):
        if joined and joined[-1][2] == label and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]), label)
        else:
            joined.append((start, end, label))
    return joined


def _overlap(one: Span, other: Span) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0])) if one[2] == other[2] else 0
