"""What a policy program may look like, what it means to be the same program, and what nonsense is told."""

import pytest

from freehold.errors import PolicyError
from freehold.routing.program import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_RULES,
    And,
    Compare,
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

TRIAGE = """\
task triage
when tag.tier == "critical"   use frontier
when chars > 4000             use frontier
when region == "card lost"    try head accept confidence >= 0.9 then frontier
when chars < 400              use cheapest of head, cheap where predicted_loss <= 0.031
otherwise                     use frontier
"""


def condition(text: str) -> object:
    return parse(f"task t when {text} use a").rules[0].condition


def action(text: str) -> object:
    return parse(f"task t otherwise {text}").rules[0].action


def test_reads_the_policy_of_the_design_as_it_stands() -> None:
    assert parse(TRIAGE) == Program(
        "triage",
        (
            Rule(Compare(Tag("tier"), "==", "critical"), Use("frontier")),
            Rule(Compare(Fact("chars"), ">", 4000.0), Use("frontier")),
            Rule(Compare(Fact("region"), "==", "card lost"), Try("head", Compare(Fact("confidence"), ">=", 0.9), Use("frontier"))),
            Rule(Compare(Fact("chars"), "<", 400.0), UseCheapest(("head", "cheap"), Compare(Fact("predicted_loss"), "<=", 0.031))),
            Rule(None, Use("frontier")),
        ),
    )


def test_prints_one_rule_a_line_with_single_spaces() -> None:
    assert show(parse(TRIAGE)) == (
        "task triage\n"
        'when tag.tier == "critical" use frontier\n'
        "when chars > 4000 use frontier\n"
        'when region == "card lost" try head accept confidence >= 0.9 then frontier\n'
        "when chars < 400 use cheapest of head, cheap where predicted_loss <= 0.031\n"
        "otherwise use frontier\n"
    )


def test_comments_spacing_and_line_breaks_do_not_change_the_identity() -> None:
    folded = TRIAGE.replace("   use", "\r\n\t# why\r\n  use # this one\n") + "# the end"
    assert parse(folded) == parse(TRIAGE)
    assert digest(parse(folded)) == digest(parse(TRIAGE)) == "f02cf2c57804744b1ece2813b4d5d9b8c589f2de33347895f130b72f494b1968"


def test_a_rule_knows_its_line_but_is_equal_without_it() -> None:
    assert [rule.line for rule in parse(TRIAGE).rules] == [2, 3, 4, 5, 6]
    assert parse("\n\n" + TRIAGE) == parse(TRIAGE)


@pytest.mark.parametrize(
    "name",
    ["gpt-4o-2024-08-06", "meta-llama/Llama-3.1-70B", "01-ai/Yi-34B", "llama3:8b-instruct", "o1", "me@home", "a+b", "_x", "-x", "1e5x"],
)
def test_model_names_stand_without_quotes(name: str) -> None:
    assert action(f"use {name}") == Use(name)
    assert show(parse(f'task t otherwise use "{name}"')) == f"task t\notherwise use {name}\n"


@pytest.mark.parametrize(
    "name", ["two words", "use", "cheapest", "task", "4.1", "1e5", "", "naïve", 'a"b', "a,b", "a#b", "x\n", "\u202eevil"]
)
def test_other_names_are_printed_in_quotes_and_read_back(name: str) -> None:
    program = Program(name, (Rule(Compare(Score(name, "predicted_cost"), "<", 1.0), Use(name)), Rule(None, UseCheapest((name, "b")))))
    assert parse(show(program)) == program
    assert show(program).isprintable() or show(program).count("\n") == 3


def test_a_score_belongs_to_whatever_stands_before_the_last_dot() -> None:
    assert condition("gpt-4.1.predicted_loss < 1") == Compare(Score("gpt-4.1", "predicted_loss"), "<", 1.0)
    assert condition('"gpt 4".predicted_latency_s < 1') == Compare(Score("gpt 4", "predicted_latency_s"), "<", 1.0)


def test_tag_comes_before_variant_so_a_variant_called_tag_is_quoted() -> None:
    assert condition('tag.predicted_loss == "high"') == Compare(Tag("predicted_loss"), "==", "high")
    program = Program("t", (Rule(Compare(Score("tag", "predicted_loss"), "<", 1.0), Use("tag")),))
    assert show(program) == 'task t\nwhen "tag".predicted_loss < 1 use tag\n'
    assert parse(show(program)) == program


def test_tags_may_have_any_name() -> None:
    assert condition('tag.a.b-c == "x"') == Compare(Tag("a.b-c"), "==", "x")
    assert condition('tag."two words" == "x"') == Compare(Tag("two words"), "==", "x")


def test_and_binds_closer_than_or_and_not_closer_than_both() -> None:
    a, b, c = (Compare(Fact(name), "==", True) for name in "abc")
    assert condition("a or b and not c") == Or((a, And((b, Not(c)))))
    assert condition("(a or b) and not (b or c)") == And((Or((a, b)), Not(Or((b, c)))))
    assert show(parse("task t when ((a or (b))) and (not (c)) use x")) == "task t\nwhen (a == true or b == true) and not c == true use x\n"


def test_parentheses_that_change_nothing_do_not_change_the_program() -> None:
    assert condition("a and (b and c)") == condition("(a and b) and c") == condition("a and b and c")
    assert And((Constant(True), And((Constant(False), Constant(True))))) == And((Constant(True), Constant(False), Constant(True)))


def test_every_kind_of_condition_is_read() -> None:
    assert condition('region in ("a", "b")') == In(Fact("region"), ("a", "b"))
    assert condition("digits in (1, -2.5, 1e3)") == In(Fact("digits"), (1.0, -2.5, 1000.0))
    assert condition(r'region contains "say \"no\" \\ \u00e9"') == Contains(Fact("region"), 'say "no" \\ é')
    assert condition("true or false") == Or((Constant(True), Constant(False)))
    assert condition("a.predicted_loss <= b.predicted_loss") == Compare(Score("a", "predicted_loss"), "<=", Score("b", "predicted_loss"))


def test_a_constant_may_stand_left_and_is_turned_around() -> None:
    assert condition("400 > chars") == condition("chars < 400")
    assert condition("true == x") == condition("x") == Compare(Fact("x"), "==", True)


def test_chains_nest_and_may_end_in_the_cheapest() -> None:
    chain = action("try a accept confidence > 0.9 then try b accept verified then use cheapest of c, d")
    assert chain == Try(
        "a",
        Compare(Fact("confidence"), ">", 0.9),
        Try("b", Compare(Fact("verified"), "==", True), UseCheapest(("c", "d"))),
    )
    assert action("try a accept true then use b") == action("try a accept true then b")


@pytest.mark.parametrize(
    ("written", "canonical"), [("4000.0", "4000"), (".5", "0.5"), ("-0", "0"), ("+1e3", "1000"), ("1e22", "1e+22"), ("0.1", "0.1")]
)
def test_numbers_are_printed_in_their_shortest_form(written: str, canonical: str) -> None:
    assert f"chars < {canonical} use" in show(parse(f"task t when chars < {written} use a"))


@pytest.mark.parametrize(
    ("source", "line", "column", "says"),
    [
        ("", 1, 1, "found the end of the program, expected 'task'"),
        ("tsk triage", 1, 1, "found 'tsk', expected 'task' and the task's name. Did you mean 'task'?"),
        ("task t\nwen chars > 4 use a", 2, 1, "found 'wen', expected a rule. Did you mean 'when'?"),
        ("task t\nwhen chars > 4 us a", 2, 16, "found 'us', expected an action. Did you mean 'use'?"),
        ("task t\nwhen chars > 4 adn x use a", 2, 16, "Did you mean 'and'?"),
        ("task t\nwhen chars = 4 use a", 2, 12, "Write '=='"),
        ("task t\nwhen x == 'a' use b", 2, 11, "Write double quotes"),
        ("task t\nwhen x == “a” use b", 2, 11, "Write straight quotes"),
        ("task t\nwhen x && y use b", 2, 8, "Write 'and'"),
        ("task t\nwhen chars > use a", 2, 14, "found 'use', expected a name, a number, a string"),
        ("task t\nwhen 4 use a", 2, 8, "expected a comparison after '4'"),
        ("task t\nwhen 4 < 5 use a", 2, 6, "one side has to be a name"),
        ('task t\nwhen x in (1, "a") use a', 2, 15, 'found "a", expected a number.'),
        ("task t\nwhen x in () use a", 2, 12, "expected a string in double quotes or a number"),
        ("task t\nwhen x contains 4 use a", 2, 17, "expected a string in double quotes"),
        ('task t\nwhen x == "abc use a\n', 2, 11, "no closing quote"),
        (r'task t when x == "\q" use a', 1, 18, "bad escape"),
        (r'task t when x == "\ud800" use a', 1, 18, "bad escape"),
        ("task t\nwhen x < 1e999 use a", 2, 10, "too large"),
        ("task t\nwhen gpt-4.predicted_los < 1 use a", 2, 6, "Did you mean 'predicted_loss'?"),
        ('task t\nwhen "gpt 4".predicted_los < 1 use a', 2, 13, "Did you mean '.predicted_loss'?"),
        ("task t\nwhen tag. == 4 use a", 2, 11, "expected a tag's name"),
        ("task t\notherwise use 4.1", 2, 15, "double quotes"),
        ("task t\notherwise use when", 2, 15, "double quotes"),
        ("task t\notherwise use cheapest of a b", 2, 29, "found 'b', expected more candidates"),
        ("task t\notherwise use cheapest of a wher x", 2, 29, "Did you mean 'where'?"),
        ("task t\notherwise try a accept b use c", 2, 26, "expected 'then'"),
        ("task t\nwhen (a or b use c", 2, 14, "expected the end of the parenthesis"),
        ("task t\nothrwise use c", 2, 1, "Did you mean 'otherwise'?"),
        (b"task t\n\xc3\xa4\xff", 2, 2, "not UTF-8"),
        ("task t\n \ud800", 2, 2, "surrogate"),
        ("task t\n\x00", 2, 1, "does not use"),
    ],
)
def test_nonsense_is_told_where_it_stands_and_what_would_do(source: str | bytes, line: int, column: int, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(source)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert says in str(caught.value)


def test_a_message_never_repeats_more_than_a_line_of_the_source() -> None:
    with pytest.raises(PolicyError) as caught:
        parse("task t " + "x" * 100_000)
    assert len(str(caught.value)) < 300


def test_size_number_of_rules_and_depth_are_bounded() -> None:
    with pytest.raises(PolicyError, match=f"longer than {MAX_BYTES} bytes"):
        parse("#" * (MAX_BYTES + 1))
    with pytest.raises(PolicyError, match=f"longer than {MAX_BYTES} bytes"):
        parse("ä" * (MAX_BYTES // 2 + 1))
    assert len(parse("task t" + " when true use a" * MAX_RULES).rules) == MAX_RULES
    with pytest.raises(PolicyError, match=f"more than {MAX_RULES} rules"):
        parse("task t" + " when true use a" * (MAX_RULES + 1))
    for opening, closing in (("(", ")"), ("not ", "")):
        parse(f"task t when {opening * MAX_DEPTH}true{closing * MAX_DEPTH} use a")
        with pytest.raises(PolicyError, match=f"more than {MAX_DEPTH} levels"):
            parse(f"task t when {opening * 10_000}true")
    with pytest.raises(PolicyError, match=f"more than {MAX_DEPTH} levels"):
        parse("task t otherwise " + "try a accept true then " * 10_000)


def test_a_file_saved_with_a_byte_order_mark_is_read() -> None:
    assert parse(b"\xef\xbb\xbf" + TRIAGE.encode()) == parse(TRIAGE)
