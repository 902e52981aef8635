"""How long does a policy program take to decide, and to be read?

    bench/policy.py [--quick] [--check]

Times one call of the compiled program, features and scores already computed: the best of several rounds, because everything else on the
machine only ever adds. Facts are chosen so that the slow path is taken: no rule before the last holds, every candidate satisfies.
"""

import timeit
from collections.abc import Callable

from freehold.routing.decide import Facts, VariantScores, compile_program
from freehold.routing.program import digest, parse
from harness import arguments, emit

DESIGN = """
task triage
when tag.tier == "critical"   use frontier
when chars > 4000             use frontier
when region == "card lost"    try head accept confidence >= 0.9 then frontier
when chars < 400              use cheapest of head, cheap where predicted_loss <= 0.031
otherwise                     use frontier
"""
VALUES: dict[str, float | str | bool] = {"task": "triage", "region": "elsewhere", "chars": 300.0, "digits": 3.0}


def twenty_rules() -> str:
    """Twenty rules of every form, of which the last alone holds."""
    forms = (
        'when tag.tier == "t{i}" use a',
        "when chars > {n} and digits < 5 use b",
        'when region in ("r{i}", "s{i}") use a',
        "when a.predicted_loss > 0.{i}5 use b",
    )
    rules = [forms[i % 4].format(i=i, n=4000 + i) for i in range(19)]
    return "\n".join(["task triage", *rules, "otherwise use a"])


def cheapest_of(count: int, where: str) -> str:
    return f"task triage when true use cheapest of {', '.join(f'model-{i}' for i in range(count))} where {where} otherwise use model-0"


def scores_of(count: int) -> dict[str, VariantScores]:
    """Every candidate satisfies and is cheaper than the one before, so that each is looked at in full."""
    return {f"model-{i}": VariantScores(0.01, 1.0 - i / 1000, 0.5) for i in range(count)}


def best_us(run: Callable[[], object], number: int, rounds: int) -> float:
    return min(timeit.repeat(run, number=number, repeat=rounds)) / number * 1e6


def decision_us(source: str, scores: dict[str, VariantScores], rule: int, rounds: int) -> float:
    """Microseconds of one decision, which must fall to `rule`: a bench of the wrong path is worse than none."""
    decide, facts = compile_program(parse(source)), Facts(VALUES, {"tier": "free"}, scores)
    decision = decide(facts)
    assert decision.rule == rule, decision
    return round(best_us(lambda: decide(facts), 2000, rounds), 2)


def main() -> None:
    args = arguments(__doc__)
    rounds = 20 if args.quick else 200
    pair = {"a": VariantScores(0.01, 0.1, 0.2), "head": VariantScores(0.01, 0.1, 0.2), "cheap": VariantScores(0.02, 0.05, 0.1)}
    sixty = scores_of(60)
    result: dict[str, object] = {
        "design_us": decision_us(DESIGN, pair, 3, rounds),
        "twenty_rules_us": decision_us(twenty_rules(), pair, 19, rounds),
        "cheapest_of_60_us": decision_us(cheapest_of(60, "predicted_loss <= 0.03"), sixty, 0, rounds),
        "cheapest_of_60_any_where_us": decision_us(cheapest_of(60, "predicted_loss <= 0.03 and predicted_cost <= 9"), sixty, 0, rounds),
        "parse_twenty_rules_ms": round(best_us(lambda: parse(twenty_rules()), 10, rounds // 4) / 1000, 3),
        "compile_twenty_rules_ms": round(best_us(lambda: compile_program(parse(twenty_rules())), 10, rounds // 4) / 1000, 3),
        "digest_twenty_rules_ms": round(best_us(lambda: digest(parse(twenty_rules())), 10, rounds // 4) / 1000, 3),
        "rounds": rounds,
    }
    emit("policy", result, args.check)


if __name__ == "__main__":
    main()
