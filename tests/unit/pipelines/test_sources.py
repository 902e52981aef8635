"""Sources of a stream: complete lines and files alone, each under a key of its own, on through rotation and truncation, and again where they were left."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import CallerError
from freehold.pipelines.folder import Folder
from freehold.pipelines.growing import GrowingFile
from freehold.pipelines.sources import Item, Lines, decoder


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def values(items: list[Item]) -> list[Any]:
    return [item.value for item in items]


def opened(path: Path, place: Any = None, clock: Clock | None = None, ends: bool = False) -> GrowingFile:
    source = GrowingFile(path, place, decoder(None), ends, clock or Clock())
    if place is None:
        assert source.read(1) == []  # which file it is comes first
    return source


def through(source: GrowingFile, clock: Clock) -> list[Any]:
    """Everything that is there, over as many looks as it takes."""
    found: list[Any] = []
    for _ in range(12):
        found += values(source.read(100))
        clock.now += 0.6
    return found


# A file that grows.


def test_lines_are_items_once_they_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    source = GrowingFile(path, None, decoder(None))
    assert source.read(9) == [] and source.waiting() == 0
    path.write_text('{"a": 1}\n\n"b"\n"not ye')
    assert source.read(9) == [] and source.has_turned
    assert values(source.read(9)) == [{"a": 1}, "b"]
    assert source.read(9) == []
    with path.open("a") as file:
        file.write('t"\n')
    (item,) = source.read(9)
    assert (item.n, item.value) == (2, "not yet")


def test_no_more_is_read_than_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f"{n}\n" for n in range(10)))
    source = opened(tmp_path / "in.jsonl")
    assert values(source.read(3)) == [0, 1, 2]
    assert source.waiting() == 7
    assert values(source.read(30)) == [3, 4, 5, 6, 7, 8, 9]


def test_what_cannot_be_read_is_an_item_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"a"\n\xff\n"' + b"x" * (17 * 2**20) + b'"\n1\n')
    bad, worse, long, good = opened(tmp_path / "in.jsonl").read(9)
    assert "no JSON" in bad.why and bad.text == '{"a"'
    assert "no JSON" in worse.why
    assert "17.0 MiB" in long.why
    assert (good.value, good.why, good.n) == (1, "", 3)


def test_it_goes_on_at_the_oldest_item_that_is_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(10)))
    source = opened(path)
    items = source.read(6)
    for oldest, expected in ((items[2], range(2, 10)), (None, range(6, 10))):
        place = json.loads(json.dumps(source.place(oldest, [], False)))
        again = opened(path, place).read(20)
        assert values(again) == list(expected)
        same = {item.key: item.n for item in items}
        assert all(same.get(item.key, item.n) == item.n for item in again)


def test_equal_lines_have_different_keys(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"x"\n' * 50)
    assert len({item.key for item in opened(tmp_path / "in.jsonl").read(50)}) == 50


def test_a_rotated_file_is_read_to_its_end_and_then_the_next(tmp_path: Path) -> None:
    """Whoever writes may go on with the old one for a while; a last line without an end counts."""
    path, clock = tmp_path / "in.jsonl", Clock()
    path.write_text('"a"\n')
    source = opened(path, clock=clock)
    assert values(source.read(9)) == ["a"]
    path.rename(tmp_path / "in.jsonl.1")
    path.write_text('"c"\n')
    assert source.read(9) == []
    with (tmp_path / "in.jsonl.1").open("a") as late:
        late.write('"b"\n"last"')
    assert through(source, clock) == ["b", "last", "c"]


@pytest.mark.parametrize("rotations", [1, 2])
def test_a_file_that_was_rotated_while_nobody_read_is_read_on(tmp_path: Path, rotations: int) -> None:
    path, clock = tmp_path / "in.jsonl", Clock()
    path.write_text('"a"\n"b"\n')
    source = opened(path, clock=clock)
    first = source.read(1)
    place = source.place(None, first, False)
    source.close()
    for n in range(rotations):
        for old in range(n, 0, -1):
            (tmp_path / f"in.jsonl.{old}").rename(tmp_path / f"in.jsonl.{old + 1}")
        path.rename(tmp_path / "in.jsonl.1")
        path.write_text(f'"new {n}"\n')
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9 * (n + 1)))
    again = opened(path, place, clock)
    assert through(again, clock) == ["b", *(f"new {n}" for n in range(rotations))]


def test_a_truncated_file_is_read_from_its_start(tmp_path: Path) -> None:
    """Also where it has grown beyond where it was read to in the meantime."""
    path, clock = tmp_path / "in.jsonl", Clock()
    path.write_text('"a"\n"b"\n')
    source = opened(path, clock=clock)
    first = source.read(9)
    path.write_text('"c"\n')
    assert through(source, clock) == ["c"]
    path.write_text('"d"\n"e"\n"f"\n')
    assert through(source, clock) == ["d", "e", "f"]
    place = source.place(None, [], False)
    path.write_text('"g"\n"h"\n"i"\n"j"\n')
    again = opened(path, place, clock)
    found = [item for _ in range(4) for item in again.read(9)]
    assert values(found) == ["g", "h", "i", "j"]
    assert not {item.key for item in found} & {item.key for item in first}


def test_a_rotated_file_that_is_gone_is_told_and_the_next_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('"a"\n"b"\n')
    source = opened(path)
    place = source.place(source.read(1)[0], [], False)
    path.rename(tmp_path / "in.jsonl.1")
    path.write_text('"c"\n')
    (tmp_path / "in.jsonl.1").unlink()
    assert through(opened(path, place), Clock()) == ["c"]
    assert "stream.lost" in caplog.text


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=8), mosts=st.lists(st.integers(1, 9), min_size=1, max_size=6), stop=st.integers(0, 30))
def test_every_line_comes_once_however_it_is_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], mosts: list[int], stop: int
) -> None:
    """With a restart somewhere, at the place that was noted."""
    path = tmp_path_factory.mktemp("lines") / "in.jsonl"
    whole = "".join(f'"line {n}"\n' for n in range(30)).encode()
    path.write_bytes(b"")
    source, found = opened(path), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(whole)], strict=True):
        with path.open("ab") as file:
            file.write(whole[begin:end])
        for most in mosts:
            found += source.read(most)
            if len(found) >= stop and source.repeats:
                source, stop = opened(path, source.place(None, [], False)), 99
    while items := source.read(7):
        found += items
    assert values(found) == [f"line {n}" for n in range(30)]
    assert [item.n for item in found] == list(range(30))
    assert len({item.key for item in found}) == 30


def test_an_item_may_name_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a"}\n{"id": 7}\n{"no": 1}\n[1]\n')
    source = GrowingFile(tmp_path / "in.jsonl", None, decoder("id"))
    source.read(1)
    first, second, third, fourth = source.read(9)
    assert (first.key, second.key) == ("a", "7")
    assert "'id'" in third.why and "'id'" in fourth.why


def test_a_folder_is_no_file_of_lines(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="is a folder"):
        GrowingFile(tmp_path, None, decoder(None))


# A folder.


def looked(source: Folder, clock: Clock, times: int = 2) -> list[Item]:
    found: list[Item] = []
    for _ in range(times):
        clock.now += 1.0
        found += source.read(99)
    return found


def test_files_are_items_once_they_are_whole(tmp_path: Path) -> None:
    clock = Clock()
    source = Folder(tmp_path, None, clock=clock)
    (tmp_path / "a.json").write_text('{"x": 1}')
    (tmp_path / "b.txt").write_text("Grüße")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "c.txt.part").write_text("half")
    assert looked(source, clock, 1) == []
    with (tmp_path / "b.txt").open("a") as file:
        file.write("!")
    (item,) = looked(source, clock, 1)
    assert item.value == {"x": 1} and item.key.startswith("a.json.")
    assert values(looked(source, clock, 1)) == ["Grüße!"]
    assert looked(source, clock) == []


def test_a_file_renamed_from_a_name_of_half_written_ones_is_whole_at_once(tmp_path: Path) -> None:
    clock = Clock()
    source = Folder(tmp_path, None, clock=clock)
    (tmp_path / ".a.tmp").write_text("whole")
    assert looked(source, clock, 1) == []
    (tmp_path / ".a.tmp").rename(tmp_path / "a.txt")
    assert values(looked(source, clock, 1)) == ["whole"]


def test_what_was_finished_is_not_read_again_and_what_was_not_is(tmp_path: Path) -> None:
    clock = Clock()
    for name in "abc":
        (tmp_path / name).write_text(name)
    source = Folder(tmp_path, None, clock=clock)
    items = looked(source, clock)
    place = json.loads(json.dumps(source.place(items[2], items[:2], False)))
    again = looked(Folder(tmp_path, place, clock=clock), clock)
    assert [item.key for item in again] == [items[2].key]


def test_a_file_with_other_content_is_another_item_and_one_that_was_touched_is_not(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "a").write_text("one")
    source = Folder(tmp_path, None, clock=clock)
    (first,) = looked(source, clock)
    source.place(None, [first], False)
    os.utime(tmp_path / "a", ns=(0, 0))
    assert looked(source, clock) == []
    (tmp_path / "a").write_text("two")
    (second,) = looked(source, clock)
    assert second.value == "two" and second.key != first.key


@pytest.mark.parametrize(("raw", "text"), [(b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b"\n", ""), (b" a ", " a ")])
def test_the_end_of_a_texts_last_line_is_no_part_of_it(tmp_path: Path, raw: bytes, text: str) -> None:
    """One, as every editor writes it; what else stands there is the text's own."""
    clock = Clock()
    (tmp_path / "a.txt").write_bytes(raw)
    assert values(looked(Folder(tmp_path, None, clock=clock), clock)) == [text]


def test_a_file_that_goes_away_while_it_is_looked_at_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were done stay done."""
    clock = Clock()
    for name in "abcd":
        (tmp_path / name).write_text(name)
    source = Folder(tmp_path, None, clock=clock)
    source.place(None, looked(source, clock), False)
    (tmp_path / "gone").write_text("gone")
    listed = os.scandir

    @contextmanager
    def and_gone(path: Path) -> Iterator[list[Any]]:
        with listed(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name != "gone")
        (tmp_path / "gone").unlink(missing_ok=True)
        yield found

    with monkeypatch.context() as patched:  # a race, which cannot be had otherwise
        patched.setattr(os, "scandir", and_gone)
        assert looked(source, clock) == []
    assert looked(source, clock) == []


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.json").write_text("{")
    first, second = looked(Folder(tmp_path, None, clock=clock), clock)
    assert "UTF-8" in first.why and "no JSON" in second.why


# A pipe.


def test_a_pipe_gives_what_is_there_and_never_waits() -> None:
    read, write = os.pipe()
    source = Lines(read, None, decoder(None))
    assert source.read(5) == []
    os.write(write, b'"a"\n"b"\n"c')
    assert values(source.read(1)) == ["a"]
    assert values(source.read(5)) == ["b"]
    assert not source.is_over
    os.close(write)
    (last,) = source.read(1)  # a line without an end counts, where nothing comes after it
    assert "no JSON" in last.why and last.text == '"c'
    assert source.is_over
    os.close(read)


def test_what_was_taken_from_a_pipe_is_given_after_stop() -> None:
    read, write = os.pipe()
    source = Lines(read, None, decoder(None))
    os.write(write, b"1\n2\n3\n")
    assert values(source.read(1)) == [1]
    source.stop()
    os.write(write, b"4\n")
    assert not source.is_over
    assert values(source.read(9)) == [2, 3]
    assert source.is_over
    os.close(write)
    os.close(read)


def test_lines_sent_again_in_a_session_have_their_keys_again_and_after_it_others() -> None:
    def keys(place: Any) -> tuple[list[str], Lines]:
        read, write = os.pipe()
        os.write(write, b'"x"\n"x"\n')
        os.close(write)
        source = Lines(read, place, decoder(None))
        found = [item.key for item in source.read(9)]
        os.close(read)
        return found, source

    first, source = keys(None)
    assert len(set(first)) == 2
    assert keys(source.place(None, [], False))[0] == first
    assert not set(keys(source.place(None, [], True))[0]) & set(first)
