"""What a person types: single keys of a terminal, or whole lines where input is piped."""

import codecs
import os
import select
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType

END = "\x04"
"""The key of the end of input: Ctrl-D, or the terminal is gone."""
ENTER = "\n"
ESCAPE = "\x1b"
_ERASE = ("\x7f", "\x08")
_SEQUENCE_S = 0.05
"""The rest of an arrow's or function key's sequence follows its ESC within this time; a lone ESC is the key itself."""

Write = Callable[[str], None]
"""Shows text on the terminal at once."""


class Terminal:
    """A terminal read key by key, without echo, while the `with` block lasts. Ctrl-C still interrupts; its settings are always put back."""

    def __init__(self, write: Write) -> None:
        self._fd = sys.stdin.fileno()
        self._write = write
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def __enter__(self) -> "Terminal":
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSADRAIN)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def key(self) -> str:
        """The next key. Those that send a sequence, such as arrows, are passed over, so that none of its letters counts as an answer."""
        while True:
            character = self._character()
            if character == ESCAPE and self._skipped_sequence():
                continue
            return ENTER if character == "\r" else character

    def line(self, prompt: str, start: str = "") -> str | None:
        """A line, edited with backspace and Ctrl-U, that begins with `start`; None when it was given up with ESC."""
        text = start
        self._write(prompt + start)
        while True:
            key = self.key()
            if key in (ENTER, END, ESCAPE):
                self._write("\n")
                return text if key == ENTER else None
            if key in _ERASE:
                text = text[:-1]
            elif key == "\x15":
                text = ""
            elif key.isprintable():
                text += key
                self._write(key)
                continue
            self._write(f"\r\x1b[K{prompt}{text}")

    def _character(self) -> str:
        """One whole character, whatever its number of bytes."""
        while True:
            try:
                byte = os.read(self._fd, 1)
            except OSError:  # the terminal was closed
                return END
            if not byte:
                return END
            if character := self._decode(byte):
                return character[-1]

    def _skipped_sequence(self) -> bool:
        """Reads the rest of an escape sequence (ECMA-48: CSI up to its final byte, SS3 one byte more); whether there was any."""
        if not self._is_waiting():
            return False
        introducer = self._character()
        if introducer == "[":
            while self._is_waiting() and not "@" <= self._character() <= "~":
                pass
        elif introducer == "O" and self._is_waiting():
            self._character()
        return True

    def _is_waiting(self) -> bool:
        return bool(select.select([self._fd], [], [], _SEQUENCE_S)[0])


def piped_line() -> str | None:
    """The next line of standard input without its end; None when there is none, or no standard input."""
    try:
        line = sys.stdin.readline() if sys.stdin is not None else ""
    except (OSError, ValueError):  # closed before we were started
        return None
    except UnicodeDecodeError:
        return ""
    return line.rstrip("\r\n") if line else None
