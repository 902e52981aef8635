"""What a program has to be before a task is served by it."""

from dataclasses import replace

import pytest

from freehold.errors import PolicyError
from freehold.routing.check import Scope, check
from freehold.routing.program import Compare, Program, Rule, Tag, Use, parse

SCOPE = Scope(
    task="triage",
    variants=("frontier", "cheap", "head"),
    reference="frontier",
    regions=("card lost", "transfer late"),
    tags=("tier", "plan"),
    features={"chars": "length in characters", "digits": "how many digits"},
)


def fails(source: str, scope: Scope = SCOPE) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        check(parse(source), scope)
    return caught.value


def ruled(rule: str) -> str:
    return f"task triage\n{rule}\notherwise use frontier"


@pytest.mark.parametrize(
    "rule",
    [
        'when tag.tier == "critical" and chars > 4000 use frontier',
        'when region in ("card lost", "transfer late") use head',
        'when not task != "triage" and tag.plan contains "pro" use cheap',
        "when head.predicted_loss <= cheap.predicted_loss use head",
        "when true use cheapest of head, cheap where predicted_loss <= 0.03 and chars < 400 and frontier.predicted_cost > 0.1",
        "when true try head accept confidence >= 0.9 and verified and answer_chars > 0 then cheap",
    ],
)
def test_passes_what_the_task_offers(rule: str) -> None:
    check(parse(ruled(rule)), SCOPE)


@pytest.mark.parametrize(
    ("rule", "column", "says"),
    [
        ("when chars > 4 use fronteir", 20, "task 'triage' has no variant 'fronteir'. Did you mean 'frontier'?"),
        ("when chars > 4 use cheapest of head, chep", 38, "Did you mean 'cheap'?"),
        ("when true try haed accept verified then cheap", 15, "Did you mean 'head'?"),
        ("when true try head accept verified then chaep", 41, "Did you mean 'cheap'?"),
        ("when hed.predicted_loss < 1 use head", 6, "Did you mean 'head'?"),
        ("when chrs > 4 use head", 6, "'when' knows no 'chrs'. Did you mean 'chars'?"),
        ('when region == "card lots" use head', 16, "there is no 'region' \"card lots\". Did you mean 'card lost'?"),
        ('when region in ("card lost", "transfer") use head', 30, "Did you mean 'transfer late'?"),
        ('when task == "triag" use head', 14, "Did you mean 'triage'?"),
        ('when tag.teir == "x" use head', 6, "no call carries a tag 'teir'. Did you mean 'tier'?"),
        ('when chars > "long" use head', 14, "'chars' is a number and \"long\" a text"),
        ("when region == 4 use head", 16, "'region' is a text and 4 a number"),
        ("when tag.tier == chars use head", 18, "'tag.tier' is a text and 'chars' a number"),
        ("when tag.tier == true use head", 18, "'tag.tier' is a text and true a bool"),
        ('when digits in ("one") use head', 17, "never compare"),
        ('when chars contains "4" use head', 6, "'contains' looks into text only"),
        ('when region < "m" use head', 6, "'region' is a text and has no order"),
        ("when chars use head", 6, "'chars' is a number and says nothing alone"),
        ("when predicted_loss < 1 use head", 6, "Say whose it is, as in frontier.predicted_loss"),
        ("when confidence < 1 use head", 6, "after the answer only"),
        ("when true use cheapest of head where confidence > 1", 38, "after the answer only"),
        ("when true try head accept chars > 4 then cheap", 27, "'accept' knows no 'chars'"),
        ('when true try head accept tag.tier == "x" then cheap', 27, "'accept' looks at the answer alone"),
        ("when true try head accept cheap.predicted_loss < 1 then cheap", 27, "'accept' looks at the answer alone"),
        ("when true try head accept verified == 1 then cheap", 39, "'verified' is a bool and 1 a number"),
        ("when true try head accept verified > false then cheap", 27, "has no order"),
    ],
)
def test_names_the_place_and_the_nearest_valid_name(rule: str, column: int, says: str) -> None:
    error = fails(ruled(rule))
    assert (error.line, error.column) == (2, column)
    assert says in str(error)


def test_the_program_is_for_this_task() -> None:
    error = fails("task triaje otherwise use frontier")
    assert (error.line, error.column) == (1, 6)
    assert "'triaje', not for 'triage'" in str(error)


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("task triage", 1, "the last rule has to be an 'otherwise'"),
        ("task triage\nwhen true use head", 2, "the last rule has to be an 'otherwise'"),
        ("task triage\notherwise use head\nwhen true use cheap\notherwise use cheap", 2, "never reached"),
        ("task triage\notherwise use head\notherwise use cheap", 2, "never reached"),
        ("task triage\notherwise use cheapest of head, cheap where chars > 4", 2, "all candidates may fail it"),
        ("task triage\notherwise try head accept verified then use cheapest of cheap where chars > 4", 2, "all candidates may fail it"),
    ],
)
def test_every_call_has_an_answer_and_every_rule_a_use(source: str, line: int, says: str) -> None:
    error = fails(source)
    assert error.line == line
    assert says in str(error)


def test_the_last_rule_may_take_the_cheapest_of_all() -> None:
    check(parse("task triage otherwise use cheapest of head, cheap"), SCOPE)


def test_without_a_map_any_region_and_without_a_list_any_tag_may_be_named() -> None:
    scope = Scope("triage", SCOPE.variants, "frontier")
    check(parse(ruled('when region == "anything" and tag.anything == "x" use head')), scope)


def test_the_reference_may_be_used_where_the_variants_do_not_list_it() -> None:
    check(parse("task triage otherwise use frontier"), Scope("triage", ("head",), "frontier"))


def test_a_program_built_in_code_is_judged_by_its_canonical_text() -> None:
    built = Program("triage", (Rule(Compare(Tag("tier"), "==", "x"), Use("haed")), Rule(None, Use("frontier"))))
    mixed = replace(parse(ruled("when true use head")), rules=built.rules)
    for program in (built, mixed):
        with pytest.raises(PolicyError, match=r"line 2, column 26: .* Did you mean 'head'\?"):
            check(program, SCOPE)
