"""Where a stream's answers go: whole lines whatever was cut off, keys that are known again, and notes that are there whole or not at all."""

import os
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from freehold.errors import CallerError, DataError, OperatorError
from freehold.pipelines.sinks import FilesFolder, LinesFile, Pipe, State, only_one, read_state, write_state

STATE = State(id="i", program="p", source="s", place={"n": 1}, out_bytes=1, dead_bytes=0, is_clean=False)


@pytest.mark.parametrize(("there", "becomes"), [("", ""), ("1\n", "1\n"), ("1\n{", "1\n"), ("{", ""), ('1\n"whole"', '1\n"whole"\n')])
def test_a_line_that_was_cut_off_is_taken_out_and_one_that_lacks_its_end_gets_it(tmp_path: Path, there: str, becomes: str) -> None:
    (tmp_path / "out").write_text(there)
    sink = LinesFile(tmp_path / "out")
    sink.put("k", b'{"key":"k"}')
    sink.close()
    assert (tmp_path / "out").read_text() == becomes + '{"key":"k"}\n'
    assert sink.size == len(becomes) + 12


def test_keys_are_known_again_from_where_they_may_be_repeated(tmp_path: Path) -> None:
    sink = LinesFile(tmp_path / "out")
    sink.put("a", b'{"n":1,"key":"a"}')
    size = sink.size
    sink.put("b", b'{"n":2,"key":"b"}')
    again = LinesFile(tmp_path / "out")
    again.recall(size)
    assert (again.knows("a"), again.knows("b")) == (False, True)
    again.forget()
    assert not again.knows("b")
    again.recall(10**9)  # somebody has put a shorter one in its place
    assert again.knows("a") and again.knows("b")


def test_a_folder_has_a_file_for_each_answer_whatever_the_key(tmp_path: Path) -> None:
    sink = FilesFolder(tmp_path / "out")
    for key in ("a.json", "../up", "ü/😀", "." * 300, "x" * 300):
        sink.put(key, key.encode())
        sink.recall(0)
        assert sink.knows(key)
    sink.sync()
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert sorted(tmp_path.iterdir()) == [tmp_path / "out"]
    assert (tmp_path / "out" / "a.json.json").read_text() == "a.json\n"


def test_a_pipe_that_nobody_reads_is_waited_for_until_it_is_over() -> None:
    read, write = os.pipe()
    is_over = False
    sink = Pipe(write, lambda: is_over)
    failed: list[BaseException] = []

    def put() -> None:
        try:
            sink.put("k", b"x" * 2**20)
        except OperatorError as error:
            failed.append(error)

    thread = Thread(target=put)
    thread.start()
    assert os.read(read, 10) == b"x" * 10
    is_over = True
    thread.join(30)
    assert "not whole" in str(failed[0])
    os.close(read)
    with pytest.raises(BrokenPipeError):
        sink.put("k", b"x")
    os.close(write)


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_state(path) is None
    write_state(path, STATE)
    assert read_state(path) == STATE
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(msgspec.json.encode(STATE)[:-9])
    with pytest.raises(DataError, match="how far the stream is"):
        read_state(path)


def test_two_do_not_write_to_one_place(tmp_path: Path) -> None:
    with only_one(tmp_path / "lock", "out"), pytest.raises(CallerError, match="Another stream"), only_one(tmp_path / "lock", "out"):
        raise AssertionError
    with only_one(tmp_path / "lock", "out"):
        pass
