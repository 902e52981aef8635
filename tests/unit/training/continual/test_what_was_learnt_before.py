"""What was learnt, data set by data set: nothing counted twice, nothing kept that was erased."""

from dataclasses import replace

import numpy as np
import pytest

from freehold.errors import DataError
from freehold.training.continual.history import Kept, Past, history, of_files, recall, summed, to_file
from freehold.training.lesson import NO_ROWS, Lesson, Part, plain
from freehold.training.method import Earlier

TEXTS = {"a": "cards", "b": "loans", "c": "cards", "d": "fraud"}


def part(ids: str) -> Part:
    """A row for each letter."""
    return replace(plain(tuple(ids), [TEXTS[id] for id in ids]), ids=tuple(ids))


def lesson(name: str, ids: str, *stands_for: str) -> Lesson:
    return Lesson(part(ids), NO_ROWS, NO_ROWS, "choice", f"{name}@{name}", stands_for)


def embed(rows: Part) -> np.ndarray:
    """A vector of length 1 of its own for every letter."""
    vectors = np.random.default_rng(0).standard_normal((26, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[[ord(id) - ord("a") for id in rows.ids]]


def refuse(rows: Part) -> np.ndarray:
    raise AssertionError(f"{rows.ids} were read again")


def past(name: str, ids: str, *stands_for: str) -> Past:
    return Past(name, stands_for, part(ids), NO_ROWS)


def learnt(*each: Past) -> tuple[Kept, ...]:
    return recall(each, [], "v", embed, False).kept


def same(first: tuple[Kept, ...], second: tuple[Kept, ...]) -> bool:
    return [to_file(one) for one in first] == [to_file(one) for one in second]


def test_a_row_that_two_data_sets_have_counts_in_the_first() -> None:
    earlier = Earlier(None, {}, (lesson("one", "ab"),))  # type: ignore[arg-type]  # the card is not looked at
    found = history(earlier, lesson("two", "abcd"))
    assert [each.train.ids for each in found] == [("a", "b"), ("c", "d")]


def test_a_data_set_that_is_learnt_again_stands_there_once() -> None:
    earlier = Earlier(None, {}, (lesson("one", "ab"),))  # type: ignore[arg-type]
    assert [each.dataset for each in history(earlier, lesson("one", "ab"))] == ["one"]


def test_sums_that_were_kept_are_not_made_again() -> None:
    before = learnt(past("one", "ab"))
    seen: list[str] = []

    def watch(rows: Part) -> np.ndarray:
        seen.extend(rows.ids)
        return embed(rows)

    found = recall([past("one", "ab"), past("two", "cd")], before, "v", watch, False)
    assert seen == ["c", "d"] and found.summed_anew == ("two",)
    assert same(found.kept, learnt(past("one", "ab"), past("two", "cd")))


def test_after_an_erasure_the_sums_are_those_of_what_is_left() -> None:
    """To the byte what somebody has who never had the row."""
    before = learnt(past("one", "abc"), past("two", "d"))
    found = recall([past("one-without-b", "ac", "one"), past("two", "d")], before, "v", embed, False)
    assert found.summed_anew == ("one-without-b",)
    assert same(found.kept, learnt(past("one-without-b", "ac"), past("two", "d")))


def test_what_is_gone_is_left_out_unless_it_is_to_be_kept() -> None:
    before = learnt(past("one", "ab"), past("two", "cd"))
    assert [one.dataset for one in recall([past("two", "cd")], before, "v", refuse, False).kept] == ["two"]
    assert [one.dataset for one in recall([past("two", "cd")], before, "v", refuse, True).kept] == ["one", "two"]


def test_sums_of_other_vectors_are_made_again() -> None:
    before = learnt(past("one", "ab"))
    assert recall([past("one", "ab")], before, "other vectors", embed, True).summed_anew == ("one",)


def test_a_data_set_of_which_nothing_is_new_has_no_sums() -> None:
    assert recall([past("one", "ab"), past("two", "")], [], "v", embed, False).summed_anew == ("one",)


def test_sums_travel_as_files_in_the_order_of_their_data_sets() -> None:
    kept = learnt(past("one", "ab"), past("two", "cd"))
    files = dict(map(to_file, reversed(kept)))
    assert sorted(files) == ["sums-one.safetensors", "sums-two.safetensors"]
    again = of_files(files | {"stream.safetensors": b""}, ["one", "two", "three"])
    assert same(tuple(again), kept)
    assert np.array_equal(again[0].sums.gram_DD, kept[0].sums.gram_DD)


def test_equal_data_sets_have_one_file() -> None:
    one, again = (summed(past("one", ids), "v", embed(part(ids))) for ids in ("abcd", "dcba"))
    assert to_file(one) == to_file(again)


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="not sums"):
        of_files({"sums-x.safetensors": b"nothing"}, ["x"])
