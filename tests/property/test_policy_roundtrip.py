"""Any program prints to a text that reads back as itself; any text reads or is refused with a place; any call gets a decision."""

import math
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.errors import PolicyError
from freehold.routing.check import Scope, check
from freehold.routing.decide import Decision, Facts, VariantScores, compile_program, scores_used, variants_used
from freehold.routing.diff import diff, show_diff
from freehold.routing.program import (
    And,
    Compare,
    Condition,
    Constant,
    Contains,
    Fact,
    In,
    Not,
    Or,
    Program,
    Rule,
    Score,
    Tag,
    Try,
    Use,
    UseCheapest,
    digest,
    parse,
    show,
)
from freehold.routing.syntax import COMPARATORS, SCORE_FIELDS, Action
from freehold.routing.tokens import KEYWORDS

# No deadline: a busy machine is no failure.
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=300)

VARIANTS = ("frontier", "gpt-4.1", "meta-llama/Llama-3.1-70B", "two words", "use", "tag", "tag.x", "4.1", "a.predicted_loss", "")
FACTS = ("chars", "digits", "region", "task", "confidence", "verified", "predicted_loss", "predicted_cost", "_x1")

names = st.sampled_from(VARIANTS) | st.text(max_size=6)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5).map(float)
operands = st.builds(Fact, st.sampled_from(FACTS)) | st.builds(Tag, names) | st.builds(Score, names, st.sampled_from(SCORE_FIELDS))
lists = st.lists(numbers, min_size=1, max_size=3) | st.lists(st.text(max_size=5), min_size=1, max_size=3)
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, operands, st.sampled_from(COMPARATORS), numbers | st.text(max_size=5) | st.booleans() | operands),
    st.builds(In, operands, lists.map(tuple)),
    st.builds(Contains, operands, st.text(max_size=5)),
    st.builds(Constant, st.booleans()),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
candidates = st.lists(names, min_size=1, max_size=4).map(tuple)
total_actions: st.SearchStrategy[Action] = st.recursive(
    st.builds(Use, names) | st.builds(UseCheapest, candidates), lambda inner: st.builds(Try, names, conditions, inner), max_leaves=3
)
actions: st.SearchStrategy[Action] = st.recursive(
    st.builds(Use, names) | st.builds(UseCheapest, candidates, st.none() | conditions),
    lambda inner: st.builds(Try, names, conditions, inner),
    max_leaves=3,
)
rules = st.builds(Rule, st.none() | conditions, actions)
programs = st.builds(Program, names, st.lists(rules, max_size=4).map(tuple))
total_programs = st.builds(
    lambda task, rules, last: Program(task, (*rules, Rule(None, last))),
    names,
    st.lists(st.builds(Rule, conditions, actions), max_size=4),
    total_actions,
)

floats = st.floats() | st.none()
scores = st.dictionaries(names, st.builds(VariantScores, floats, floats, floats), max_size=4)
facts = st.builds(
    Facts,
    st.dictionaries(st.sampled_from(FACTS), st.floats() | st.text(max_size=5) | st.booleans()),
    st.dictionaries(names, st.text(max_size=5), max_size=3),
    scores,
)
answers = st.dictionaries(st.sampled_from(("confidence", "answer_chars", "verified")), st.floats())


@few
@given(programs)
def test_what_is_printed_reads_back_as_the_same_program(program: Program) -> None:
    text = show(program)
    assert parse(text) == program
    assert show(parse(text)) == text
    assert digest(parse(text)) == digest(program)
    assert parse(text.replace("\n", "  # why\r\n\t")) == program
    assert len(text.splitlines()) == 1 + len(program.rules), "no name breaks a line"


@few
@given(total_programs, facts, answers)
def test_every_call_gets_a_decision_and_every_answer_a_verdict(program: Program, call: Facts, answer: dict[str, float]) -> None:
    decision: Decision | None = compile_program(program)(call)
    used = variants_used(program)
    while decision is not None:
        assert decision.variant in used
        assert (decision.accept is None) == (decision.then is None)
        if decision.accept is not None:
            assert decision.accept(answer) in (True, False)
        decision = decision.then


@few
@given(total_programs, facts)
def test_a_decision_looks_at_no_score_but_those_it_names(program: Program, call: Facts) -> None:
    needed = scores_used(program)
    fewer = Facts(call.values, call.tags, {variant: known for variant, known in call.scores.items() if variant in needed})
    assert compile_program(program)(call).variant == compile_program(program)(fewer).variant


@few
@given(conditions, facts)
def test_a_condition_and_its_opposite_never_both_hold(condition: Condition, call: Facts) -> None:
    def holds(tested: Condition) -> bool:
        return compile_program(Program("t", (Rule(tested, Use("yes")), Rule(None, Use("no")))))(call).variant == "yes"

    assert not (holds(condition) and holds(Not(condition)))


limits = st.builds(Compare, st.sampled_from([Fact("predicted_loss"), Fact("predicted_latency_s")]), st.sampled_from(COMPARATORS), numbers)


@few
@given(st.lists(limits | leaves, min_size=2, max_size=4).map(tuple), candidates, facts)
def test_limits_compared_in_the_loop_pick_what_closures_would_pick(
    parts: tuple[Condition, ...], names: tuple[str, ...], call: Facts
) -> None:
    def pick(where: Condition) -> str:
        return compile_program(Program("t", (Rule(Constant(True), UseCheapest(names, where)), Rule(None, Use("none")))))(call).variant

    assert pick(And(parts)) == pick(Not(Not(And(parts))))


@few
@given(candidates, st.floats(-1, 1), scores)
def test_the_cheapest_is_the_cheapest(listed: tuple[str, ...], most: float, known: dict[str, VariantScores]) -> None:
    program = Program(
        "t", (Rule(Constant(True), UseCheapest(listed, Compare(Fact("predicted_loss"), "<=", most))), Rule(None, Use("none")))
    )
    fit = [name for name in listed if (loss := known.get(name, VariantScores()).predicted_loss) is not None and loss <= most]

    def cost(name: str) -> float:
        value = known[name].predicted_cost
        return math.inf if value is None or math.isnan(value) else value

    assert compile_program(program)(Facts({}, {}, known)).variant == (min(fit, key=cost) if fit else "none")


@few
@given(
    st.lists(rules, min_size=1, max_size=3).flatmap(lambda pool: st.tuples(*[st.lists(st.sampled_from(pool), max_size=5).map(tuple)] * 2))
)
def test_programs_differ_exactly_when_their_digests_do(pair: tuple[tuple[Rule, ...], tuple[Rule, ...]]) -> None:
    before, after = Program("t", pair[0]), Program("t", pair[1])
    assert bool(diff(before, after)) == (digest(before) != digest(after))
    assert diff(before, before) == []
    assert show_diff(before, after)
    kinds = [change.kind for change in diff(before, after)]
    assert kinds.count("added") - kinds.count("removed") == len(after.rules) - len(before.rules)


@few
@given(programs)
def test_a_program_of_any_kind_passes_the_check_or_is_refused_with_a_place(program: Program) -> None:
    scope = Scope(program.task, VARIANTS[:4], "frontier", ("here",), ("tier",))
    with suppress(PolicyError):
        check(program, scope)


soup = st.lists(
    st.sampled_from((*KEYWORDS, *COMPARATORS, "(", ")", ",", '"a"', "x", "4", "tag.", ".predicted_loss", "a.predicted_loss", "\n"))
)


@many
@given(st.binary() | st.text() | st.text(alphabet=st.characters()) | soup.map(" ".join) | soup.map("".join))
def test_any_bytes_read_as_a_program_or_are_refused_with_a_place(source: bytes | str) -> None:
    prefixes = (b"", b"task t otherwise ") if isinstance(source, bytes) else ("", "task t otherwise use a when ")
    for prefix in prefixes:
        try:
            program = parse(prefix + source)  # type: ignore[operator]
        except PolicyError as error:
            assert error.line >= 1 and error.column >= 1
        else:
            assert parse(show(program)) == program
