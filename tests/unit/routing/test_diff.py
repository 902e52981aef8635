"""What two programs differ in, as a person reviewing a policy wants to read it."""

from freehold.routing.diff import Change, Threshold, diff, show_diff
from freehold.routing.program import parse

BASE = """
task triage
when tag.tier == "critical" use frontier
when chars > 4000 use frontier
when region == "card lost" try head accept confidence >= 0.9 then frontier
when chars < 400 use cheapest of head, cheap where predicted_loss <= 0.031
otherwise use frontier
"""


def changed(old: str, new: str) -> list[Change]:
    return diff(parse(BASE), parse(BASE.replace(old, new)))


def test_programs_that_mean_the_same_text_are_the_same() -> None:
    before, after = parse(BASE), parse(BASE.replace("use", "   use").replace("0.9", "0.90") + "# a comment")
    assert diff(before, after) == []
    assert show_diff(before, after) == "same program (f02cf2c57804)"


def test_thresholds_stand_side_by_side() -> None:
    (change,) = changed(
        "chars < 400 use cheapest of head, cheap where predicted_loss <= 0.031",
        "chars < 300 use cheapest of head, cheap where predicted_loss <= 0.04",
    )
    assert (change.kind, change.before_rule, change.after_rule) == ("changed", 3, 3)
    assert change.thresholds == (Threshold("chars <", 400.0, 300.0), Threshold("predicted_loss <=", 0.031, 0.04))


def test_a_rule_that_was_put_in_or_taken_out_moves_no_other() -> None:
    rule = "when digits in (1, 2) use head"
    more = parse(BASE.replace("when region", f"{rule}\nwhen region"))
    assert diff(parse(BASE), more) == [Change("added", None, 2, "", rule)]
    assert diff(more, parse(BASE)) == [Change("removed", 2, None, rule, "")]


def test_order_counts_so_a_moved_rule_is_a_difference() -> None:
    first, second = 'when tag.tier == "critical" use frontier', "when chars > 4000 use frontier"
    (change,) = changed(f"{first}\n{second}", f"{second}\n{first}")
    assert change.kind == "moved"
    assert {change.before_rule, change.after_rule} == {0, 1}


def test_another_action_under_the_same_condition_is_a_change() -> None:
    (change,) = changed("otherwise use frontier", "otherwise use cheap")
    assert (change.kind, change.before, change.after) == ("changed", "otherwise use frontier", "otherwise use cheap")
    assert change.thresholds == ()


def test_a_rule_with_another_condition_is_another_rule() -> None:
    assert [change.kind for change in changed("chars > 4000", "digits > 4000 and chars > 4")] == ["added", "removed"]


def test_numbers_in_lists_count_as_thresholds() -> None:
    before, after = parse("task t when x in (1, 2) use a otherwise use b"), parse("task t when x in (1, 3) use a otherwise use b")
    assert diff(before, after)[0].thresholds == (Threshold("x in", 2.0, 3.0),)


def test_equal_rules_are_told_apart_by_their_number() -> None:
    once, twice = parse("task t when x use a otherwise use b"), parse("task t when x use a when x use a otherwise use b")
    assert [change.kind for change in diff(once, twice)] == ["added"]
    assert [change.kind for change in diff(twice, once)] == ["removed"]


def test_another_task_is_a_difference_of_its_own() -> None:
    assert changed("task triage", "task sorting") == [Change("task", None, None, "triage", "sorting")]


def test_is_printed_for_a_person() -> None:
    before = parse(BASE)
    after = parse("""
        task triage
        when chars > 4000 use frontier
        when region == "card lost" try head accept confidence >= 0.85 then frontier
        when tag.tier == "critical" use frontier
        when digits > 3 use head
        otherwise use cheap
    """)
    assert show_diff(before, after).splitlines() == [
        "moved    rule 2 → 1: when chars > 4000 use frontier",
        "changed  rule 3 → 2: confidence >= 0.9 → 0.85",
        '  - when region == "card lost" try head accept confidence >= 0.9 then frontier',
        '  + when region == "card lost" try head accept confidence >= 0.85 then frontier',
        "added    rule 4: when digits > 3 use head",
        "changed  rule 5: another action",
        "  - otherwise use frontier",
        "  + otherwise use cheap",
        "removed  rule 4: when chars < 400 use cheapest of head, cheap where predicted_loss <= 0.031",
    ]
