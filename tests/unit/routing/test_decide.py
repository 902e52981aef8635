"""Which variant a program picks, and what it does with what it does not know."""

import math

import pytest

from freehold.errors import PolicyError
from freehold.routing.decide import Decision, Facts, VariantScores, compile_program, scores_used, variants_used
from freehold.routing.program import parse

TRIAGE = """
task triage
when tag.tier == "critical"   use frontier
when chars > 4000             use frontier
when region == "card lost"    try head accept confidence >= 0.9 then frontier
when chars < 400              use cheapest of head, cheap where predicted_loss <= 0.031
otherwise                     use frontier
"""
NAN = math.nan


def decide(source: str, values: dict[str, float | str | bool] | None = None, **more: object) -> Decision:
    return compile_program(parse(source))(Facts(values or {}, **more))  # type: ignore[arg-type]


def holds(condition: str, values: dict[str, float | str | bool] | None = None, **more: object) -> bool:
    return decide(f"task t when {condition} use yes otherwise use no", values, **more).variant == "yes"


def cheapest(action: str, **scores: tuple[float | None, ...]) -> str:
    known = {variant: VariantScores(*values) for variant, values in scores.items()}
    return decide(f"task t when true use cheapest of {action} otherwise use none", scores=known).variant


@pytest.mark.parametrize(
    ("values", "tags", "variant", "rule"),
    [
        ({"chars": 10.0}, {"tier": "critical"}, "frontier", 0),
        ({"chars": 4001.0}, {}, "frontier", 1),
        ({"chars": 500.0, "region": "card lost"}, {}, "head", 2),
        ({"chars": 399.0}, {"tier": "free"}, "cheap", 3),
        ({"chars": 400.0}, {}, "frontier", 4),
        ({}, {}, "frontier", 4),
    ],
)
def test_the_first_rule_that_holds_decides(values: dict[str, float | str | bool], tags: dict[str, str], variant: str, rule: int) -> None:
    scores = {"head": VariantScores(0.05, 0.0001), "cheap": VariantScores(0.03, 0.001)}
    decision = decide(TRIAGE, values, tags=tags, scores=scores)
    assert (decision.variant, decision.rule) == (variant, rule)


def test_a_chain_says_what_it_accepts_and_what_follows() -> None:
    first = decide("task t otherwise try a accept confidence >= 0.9 and not answer_chars > 50 then try b accept verified then c")
    assert first.variant == "a" and first.accept is not None and first.then is not None
    assert first.accept({"confidence": 0.9, "answer_chars": 50.0})
    assert not first.accept({"confidence": 0.89, "answer_chars": 10.0})
    second = first.then
    assert second.variant == "b" and second.accept is not None and second.then is not None
    assert second.accept({"verified": True}) and second.accept({"verified": 1.0})
    assert not second.accept({"verified": False})
    assert second.then == Decision("c", 0)


@pytest.mark.parametrize("answer", [{}, {"confidence": NAN}, {"answer_chars": 3.0}])
def test_an_answer_without_the_fact_that_is_asked_for_is_not_accepted(answer: dict[str, float]) -> None:
    decision = decide("task t otherwise try a accept confidence >= 0.9 then b")
    assert decision.accept is not None and not decision.accept(answer)
    decision = decide("task t otherwise try a accept not confidence < 0.9 then b")
    assert decision.accept is not None and not decision.accept(answer)


def test_the_cheapest_is_taken_among_those_that_satisfy_where() -> None:
    assert cheapest("a, b, c where predicted_loss <= 0.03", a=(0.01, 3.0), b=(0.03, 2.0), c=(0.04, 1.0)) == "b"
    assert cheapest("a, b where predicted_loss <= 0.03 and predicted_latency_s < 2", a=(0.01, 1.0, 2.0), b=(0.01, 5.0, 1.0)) == "b"
    assert cheapest("a, b where predicted_cost > 2 or a.predicted_loss > 0", a=(0.0, 1.0), b=(0.0, 3.0)) == "b"


def test_where_none_satisfies_the_next_rule_is_asked() -> None:
    assert cheapest("a, b where predicted_loss < 0.03", a=(0.03, 1.0), b=(0.5, 1.0)) == "none"
    source = "task t when true try a accept verified then use cheapest of b where predicted_loss < 0 otherwise use c"
    assert decide(source).variant == "c", "a chain with no last link is no chain"


def test_ties_go_to_the_one_listed_first_and_an_unknown_cost_comes_last() -> None:
    assert cheapest("a, b, c", a=(0.0, 2.0), b=(0.0, 1.0), c=(0.0, 1.0)) == "b"
    for unknown in (None, NAN, math.inf):
        assert cheapest("a, b", a=(0.0, unknown), b=(0.0, 1e9)) == "b"
        assert cheapest("b, a", a=(0.0, unknown), b=(0.0, 1e9)) == "b"
        assert cheapest("a, b", a=(0.0, unknown), b=(0.0, unknown)) == "a"
    assert cheapest("a, b") == "a", "no score at all"


@pytest.mark.parametrize("where", ["predicted_loss <= 1", "predicted_loss < 1", "not predicted_loss > 1", "predicted_loss >= -1"])
def test_a_missing_loss_satisfies_no_limit(where: str) -> None:
    for unknown in (None, NAN):
        assert cheapest(f"a, b where {where}", a=(unknown, 1.0), b=(0.5, 2.0)) == "b"
    assert cheapest(f"z where {where}") == "none"


@pytest.mark.parametrize("op", ["<", "<=", "==", ">=", ">"])
def test_what_is_absent_or_not_a_number_satisfies_no_comparison_negated_or_not(op: str) -> None:
    facts: list[dict[str, float | str | bool]] = [{}, {"x": NAN}, {"x": "text"}]
    for values in facts:
        assert not holds(f"x {op} 1", values)
        if op != "==":
            assert not holds(f"not x {op} 1", values)
    assert not holds(f"a.predicted_loss {op} b.predicted_loss")
    assert not holds(f"a.predicted_loss {op} 1", scores={"a": VariantScores(None)})


def test_what_is_absent_differs_from_everything_and_nan_from_nothing() -> None:
    assert holds('region != "x"') and holds('not region == "x"') and holds('tag.tier != "x"')
    assert holds('not region in ("x", "y")') and holds('not tag.tier contains "x"')
    assert holds("chars != 1") and holds("a.predicted_loss != b.predicted_loss")
    assert not holds("chars != 1", {"chars": NAN}) and not holds("not chars in (1, 2)", {"chars": NAN})
    assert not holds("a.predicted_loss != b.predicted_loss", scores={"a": VariantScores(NAN), "b": VariantScores(1.0)})


def test_texts_are_compared_letter_by_letter() -> None:
    assert holds('region == "Card"', {"region": "Card"}) and not holds('region == "card"', {"region": "Card"})
    assert holds('tag.lang in ("de", "fr")', tags={"lang": "fr"}) and not holds('tag.lang in ("de", "fr")', tags={"lang": "f"})
    assert holds('region contains "ar"', {"region": "Card"}) and not holds('region contains "AR"', {"region": "Card"})
    assert not holds('region contains "4"', {"region": 4.0})


def test_and_or_not_and_constants() -> None:
    assert holds("true") and not holds("false") and not holds("not true")
    assert holds("x and (y or z)", {"x": True, "z": True}) and not holds("x and (y or z)", {"x": True})
    assert holds("not (x and y)", {"x": True, "y": False}) and not holds("not (x or y)", {"x": True, "y": False})
    assert holds("not not x", {"x": True})


def test_a_where_may_look_at_the_call_too() -> None:
    source = "task t when true use cheapest of a, b where predicted_loss <= 0.1 and (chars < 10 or predicted_cost > 1) otherwise use c"
    scores = {"a": VariantScores(0.1, 1.0), "b": VariantScores(0.1, 2.0)}
    assert decide(source, {"chars": 5.0}, scores=scores).variant == "a"
    assert decide(source, {"chars": 50.0}, scores=scores).variant == "b"


def test_a_program_without_an_answer_for_every_call_is_refused_before_it_serves() -> None:
    for source in ("task t", "task t when true use a", "task t otherwise use cheapest of a where predicted_loss < 1"):
        with pytest.raises(PolicyError):
            compile_program(parse(source))


def test_knows_which_variants_it_may_pick_and_whose_scores_it_needs() -> None:
    program = parse("""
        task t
        when x.predicted_loss <= y.predicted_loss try b accept confidence > 0.5 then a
        when true use cheapest of c, b where z.predicted_cost > predicted_cost
        otherwise use a
    """)
    assert variants_used(program) == ("b", "a", "c")
    assert scores_used(program) == ("x", "y", "c", "b", "z")
