"""What a scorer is written from, and what it is then looked at by."""

from freehold.training.lesson import plain
from freehold.writing import parted


def test_answers_to_one_question_stand_on_one_side_and_count_once_where_they_are_looked_at() -> None:
    items = [f"item {n // 3}" for n in range(90)]
    part = plain([f"{item}, answer {n}" for n, item in enumerate(items)], ["right", "wrong", "right"] * 30, items)
    learnt, held = parted(part, seed=1)
    assert not set(learnt.groups) & set(held.groups)
    assert len(held) == len(set(held.groups)) == 12
    assert len(learnt) == 3 * 18
    assert parted(part, seed=1) == (learnt, held)
    assert len({int(text.rpartition(" ")[2]) % 3 for text in held.texts}) > 1  # not always the first answer, or the last
