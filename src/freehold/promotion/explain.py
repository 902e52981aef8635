"""Why a call went where it went: the rule of its policy that decided, and the facts it was decided by.

Neither is journalled: both follow from the stored policy and the call's stored question and tags, and are worked out anew for whoever asks.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from freehold.chat import text_of
from freehold.errors import FreeholdError
from freehold.journal.call import Call
from freehold.promotion.records import find_policy
from freehold.promotion.served import load
from freehold.routing.decide import Facts, VariantScores
from freehold.routing.features import surface_of
from freehold.routing.online import OnlinePolicy
from freehold.routing.program import parse, show_operand, show_rule
from freehold.routing.syntax import SCORE_FIELDS, Fact, Operand, Rule, Score, ScoreField, Tag, UseCheapest, operands, walk
from freehold.store.open import Store

_ENDED = "finish_reason"
"""The tag that says how an answer ended, which no decision can have seen."""
_PLACEHOLDER = re.compile(r"\[(?:SECRET|EMAIL|IP|IBAN|CARD|PHONE)\]")


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy decided about one call, and by what."""

    policy: str
    """Hash of the policy."""
    unknown: str | None = None
    """Why the rest cannot be known; None where it is."""
    rule: int | None = None
    """The number of the rule that decided, from 1."""
    rules: int | None = None
    """How many the policy has."""
    line: int | None = None
    """Where that rule begins in the policy's text, from 1."""
    text: str | None = None
    """The rule."""
    variant: str | None = None
    """Whom it asks first."""
    facts: dict[str, float | str | bool] = {}
    """Everything a policy may name of a call, by name."""
    tags: dict[str, str] = {}
    """The tags it could look at."""
    scores: dict[str, VariantScores] = {}
    """What each variant was expected to do; empty for a policy without arrays."""
    named: dict[str, float | str | bool | None] = {}
    """Of all these what that rule and those before it name, and the losses predicted for whom it chose among; None is absent."""
    is_redacted: bool = False
    """Whether the journal has placeholders for some of what the policy saw, which may make facts and rule others than they were."""


def explain(store: Store, tenant: str, call: Call) -> Explained | None:
    """Why a call went to its variant; None where no policy decided."""
    if call.policy is None:
        return None
    if call.task is None:
        return Explained(policy=call.policy, unknown="the call belongs to no task")
    if call.input is None:
        return Explained(policy=call.policy, unknown="the input was not kept")
    try:
        row = find_policy(store, tenant, call.task, call.policy)
        policy, program = load(store, tenant, row), parse(row.source)
    except FreeholdError as error:
        return Explained(policy=call.policy, unknown=str(error))
    words, tags = text_of(call.input), {key: value for key, value in call.tags.items() if key != _ENDED}
    decision = policy.choose(words, tags).decision
    facts = _facts(policy, words, tags)
    rule = program.rules[decision.rule]
    head = policy.scorer.head_variant if policy.scorer is not None else None
    return Explained(
        policy=call.policy,
        rule=decision.rule + 1,
        rules=len(program.rules),
        line=rule.line,
        text=show_rule(rule),
        variant=decision.variant,
        facts=dict(facts.values),
        tags=tags,
        scores=dict(facts.scores),
        named={show_operand(name): _value(name, facts) for name in _named(program.rules[: decision.rule + 1], head)},
        is_redacted=any(_PLACEHOLDER.search(said) for said in (words, *tags, *tags.values())),
    )


def _facts(policy: OnlinePolicy, words: str, tags: Mapping[str, str]) -> Facts:
    if policy.scorer is None:
        return Facts(values={**surface_of(words), "task": policy.task}, tags=tags)
    return policy.scorer.facts(policy.task, policy.scorer.score((words,)), 0, tags)


def _named(rules: tuple[Rule, ...], head: str | None) -> Iterator[Operand]:
    """What these rules look at before anybody is asked, in order of appearance; of a head its predicted loss at any rate."""
    for rule in rules:
        for node in walk(rule.condition):
            yield from operands(node)
        for action in walk(rule.action):
            if isinstance(action, UseCheapest):
                yield from _of_candidates(action)
    if head is not None:
        yield Score(head, "predicted_loss")


def _of_candidates(action: UseCheapest) -> Iterator[Operand]:
    """What a choice among several looks at: their costs, and what `where` names."""
    fields: dict[ScoreField, None] = {}
    for node in walk(action.where):
        for side in operands(node):
            if isinstance(side, Fact) and side.name in SCORE_FIELDS:
                fields[side.name] = None
            else:
                yield side
    for variant in action.variants:
        for field in dict.fromkeys((*fields, *SCORE_FIELDS[:2])):
            yield Score(variant, field)


def _value(name: Operand, facts: Facts) -> float | str | bool | None:
    match name:
        case Fact(fact):
            return facts.values.get(fact)
        case Tag(key):
            return facts.tags.get(key)
        case Score(variant, field):
            value: float | None = getattr(facts.scores.get(variant, VariantScores()), field)
            return value
