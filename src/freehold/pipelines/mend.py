"""Sloppy JSON is rewritten as JSON: one pass over the words, one token after another, each repair by its name.

It repairs what has one meaning: commas too many, other quotes, Python's literals, comments, characters that had to be escaped, and an
end that is missing. Where the end is missing it keeps what was complete, and a text as far as it came; a number, a literal or a key that
broke off is dropped, and so is a list or an object of which nothing had come. What has no one meaning is not rewritten.
"""

import re
from collections.abc import Set
from typing import Literal, NamedTuple, TypeAlias

Repair: TypeAlias = Literal[
    "fence", "prose", "commas", "quotes", "literals", "comments", "escapes", "tail", "syntax", "choice", "case", "number", "null"
]
"""What had to be repaired, in a word.

`fence`, `prose`: the value stood in a fence, or among other words. `commas`, `quotes`, `literals`, `comments`, `escapes`: JSON was written
sloppily. `tail`: the end was missing. `syntax`: something else that json_repair made sense of. `choice`, `case`: a choice stood among other
words, or in another case. `number`: a number had a unit, a currency or separators. `null`: null stood for what may be left out.
"""

PROBE = "\ue000"
"""Goes on where a text broke off. A type that doesn't take it there does not take any words, and so not a text that broke off."""
MOST_LEVELS = 100
"""As deep as objects and lists may lie in each other here. Valid JSON may be deeper, up to pydantic's limit."""

FENCES = ("```", "~~~")
"""What ends a document that stands in a fence."""

_SPACE = re.compile(r"[\s\ufeff]*")
_ENDS = {'"': '"', "'": "'", "“": "”"}
_STRINGS = {quote: re.compile(rf"{quote}[^{end}\\]*(?:\\.[^{end}\\]*)*", re.DOTALL) for quote, end in _ENDS.items()}
_BARE = re.compile(r"""[^\s{}\[\],:"'/#]+""")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?\Z", re.ASCII)
_KEY = re.compile(r"""["']\w+["']\s*:""")
_LITERALS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_ODD = re.compile(r"""\\u[0-9a-fA-F]{4}|\\.|[\x00-\x1f"]|\\\Z""", re.DOTALL)
_CONTROLS = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_REMARK = r"//|/\*|\#"
_AFTER_IN_LIST = re.compile(rf"\s*(?:[\],]|{_REMARK}|\Z)")
_AFTER_IN_OBJECT = re.compile(
    rf"""\s*(?: \}} | {_REMARK} | \Z
    | ,\s*(?: \}} | {_REMARK} | \Z | "([^"\\\n]*)(?:"\s*:|\Z) | '([^'\\\n]*)(?:'\s*:|\Z) | “([^”\\\n]*)(?:”\s*:|\Z) | ([^\W\d]\w*)\s*: ))""",
    re.VERBOSE,
)


class Mended(NamedTuple):
    """A document as JSON."""

    texts: tuple[str, ...]
    """The JSON; where the end was missing, then what is left of it without the text or the entry of a list that broke off."""
    probe: str | None
    """The first of `texts` with PROBE where a text broke off; None where none did."""
    end: int
    """Where it ended in the words."""
    repairs: tuple[Repair, ...]
    """What was repaired."""
    is_guess: bool
    """Whether a text holds quotes that were not escaped, so that where it ends is a guess."""


class NoDocument(NamedTuple):
    """Words that could not be read as a document."""

    end: int
    """Up to where they could be read."""
    is_broken: bool
    """Whether it had begun as a document: a key with its colon, or a member of a list, was read."""


class _Open(NamedTuple):
    """An object or a list that is not closed yet."""

    opener: str
    """`{` or `[`."""
    begin: int
    """How many pieces there were before it."""


def mend(words: str, begin: int, end: int, keys: Set[str] = frozenset()) -> Mended | NoDocument:
    """The document that begins with the bracket at `begin`; there is nothing from `end` on.

    `keys`: a text in an object ends only where one of these keys follows; empty for any.
    """
    return _Mender(words, end, keys).run(begin)


class _Mender:
    """One pass over a document."""

    def __init__(self, words: str, end: int, keys: Set[str]) -> None:
        self._words, self._end, self._keys = words, end, keys
        self._at = 0
        self._out: list[str] = []
        self._open: list[_Open] = []
        self._whole: list[int] = []  # of each open container: how many pieces its complete members end at
        self._repairs: dict[Repair, None] = {}
        self._broken = ""  # the text that broke off at the end
        self._has_begun = self._is_guess = False

    def run(self, begin: int) -> Mended | NoDocument:
        """Reads the document. What is wanted next decides what a token may be."""
        self._at, wants = begin, "value"
        while wants != "nothing":
            if not self._skip():
                return self._cut()
            char = self._words[self._at]
            in_object = bool(self._open) and self._open[-1].opener == "{"
            if wants == "member" and char == ("}" if in_object else "]"):
                now = self._close(char)
            elif wants == "member" and in_object:
                now = self._key(char)
            elif wants in ("member", "value"):
                now = self._value(char)
            elif wants == "colon":
                now = self._take(":", "value") if char == ":" else ""
                self._has_begun = self._has_begun or bool(now)
            elif char == ",":
                now = self._take(",", "member")
            else:
                now = self._close(char) if char == ("}" if in_object else "]") else ""
            if not now:
                return self._cut() if self._at >= self._end else NoDocument(self._at, self._has_begun)
            wants = now
        if self._is_guess and '"' in self._words[self._at : self._end]:
            return NoDocument(self._at, True)
        return Mended(("".join(self._out),), None, self._at, tuple(self._repairs), self._is_guess)

    def _skip(self) -> bool:
        """Passes spaces and comments; whether anything follows."""
        words, end = self._words, self._end
        while True:
            found = _SPACE.match(words, self._at, end)
            self._at = found.end() if found else self._at
            if self._at >= end or words.startswith(FENCES, self._at):
                self._end = min(self._at, end)
                return False
            if words.startswith(("//", "#"), self._at):
                stop = words.find("\n", self._at, end)
            elif words.startswith("/*", self._at):
                stop = words.find("*/", self._at + 2, end) + 2
                stop = stop if stop > 1 else -1
            else:
                return True
            self._repairs["comments"] = None
            self._at = stop if stop >= 0 else end

    def _take(self, piece: str, wants: str) -> str:
        self._out.append(piece)
        self._at += 1
        return wants

    def _close(self, closer: str) -> str:
        if self._out[-1] == ",":
            self._out.pop()
            self._repairs["commas"] = None
        self._open.pop()
        self._whole.pop()
        self._take(closer, "")
        return self._member_is_whole() if self._open else "nothing"

    def _member_is_whole(self) -> str:
        self._whole[-1] = len(self._out)
        self._has_begun = True
        return "comma"

    def _key(self, char: str) -> str:
        if char in _STRINGS:
            text = self._string(char, is_value=False)
            if text is None:
                self._broken = ""
                return ""
        else:
            found = _BARE.match(self._words, self._at, self._end)
            if found is None or not found[0].isidentifier():
                return ""
            self._repairs["quotes"] = None
            self._at, text = found.end(), f'"{found[0]}"'
        self._out.append(text)
        return "colon"

    def _value(self, char: str) -> str:
        if char in "{[":
            if len(self._open) == MOST_LEVELS:
                return ""
            self._open.append(_Open(char, len(self._out)))
            self._whole.append(len(self._out))
            return self._take(char, "member")
        value = self._string(char, is_value=True) if char in _STRINGS else self._bare()
        if value is None or not self._open:
            return ""
        self._out.append(value)
        return self._member_is_whole()

    def _bare(self) -> str | None:
        """A number or a literal; None for other words, and for a number at the very end, of which more may have been due."""
        found = _BARE.match(self._words, self._at, self._end)
        if found is None:
            return None
        bare, is_last = found[0], found.end() == self._end
        literal = _LITERALS.get(bare)
        if literal is not None or is_last or _NUMBER.match(bare):
            self._at = found.end()
        if literal is None:
            return bare if not is_last and _NUMBER.match(bare) else None
        if literal != bare:
            self._repairs["literals"] = None
        return literal

    def _string(self, quote: str, *, is_value: bool) -> str | None:
        """A text; None where it has no end."""
        words, end, begin = self._words, self._end, self._at
        found = _STRINGS[quote].match(words, begin, end)
        stop = found.end() if found else end
        is_whole = stop < end and words[stop] == _ENDS[quote]
        if is_whole and is_value and not self._may_end(stop + 1):
            stop = self._later_end(_ENDS[quote], stop)
            if stop < 0 or _KEY.match(words, begin, stop):
                return None
            self._is_guess = True
            self._repairs["quotes"] = None
        if quote != '"':
            self._repairs["quotes"] = None
        text = f'"{self._escaped(words[begin + 1 : stop if is_whole else end])}"'
        self._at = stop + 1 if is_whole else end
        if not is_whole:
            self._broken = text
            return None
        return text

    def _may_end(self, at: int) -> bool:
        """Whether a text can have ended just before `at`, by what follows."""
        if not self._open or self._open[-1].opener == "[":
            return _AFTER_IN_LIST.match(self._words, at, self._end) is not None
        found = _AFTER_IN_OBJECT.match(self._words, at, self._end)
        if found is None:
            return False
        key = next((group for group in found.groups() if group is not None), None)
        return key is None or not self._keys or key in self._keys

    def _later_end(self, end: str, stop: int) -> int:
        """Where a text ends in which the quote at `stop` is one of its own; -1 where that can't be told."""
        while (stop := self._words.find(end, stop + 1, self._end)) >= 0:
            if self._words[stop - 1] != "\\" and self._may_end(stop + 1):
                break
        return stop

    def _escaped(self, text: str) -> str:
        return _ODD.sub(self._escape, text) if _ODD.search(text) else text

    def _escape(self, found: re.Match[str]) -> str:
        """One character as JSON has it, where that is not clear. `\\frac` and `\\beta` are LaTeX; nobody means a form feed or a backspace."""
        odd = found[0]
        if odd == '"':
            return '\\"'
        if odd == "\\'":
            return "'"
        is_word = odd[-1] in "bf" and found.string[found.end() : found.end() + 1].isalpha()
        if len(odd) == 6 or (len(odd) == 2 and odd[1] in '"\\/bfnrt' and not is_word):
            return odd
        self._repairs["escapes"] = None
        last = odd[-1]
        escaped = last if last > "\x1f" else _CONTROLS.get(last) or f"\\u{ord(last):04x}"
        if len(odd) == 2:
            return "\\\\" + escaped
        return "" if odd == "\\" else escaped

    def _cut(self) -> Mended | NoDocument:
        """The document whose end is missing."""
        self._repairs["tail"] = None
        depth, broken = len(self._open), self._broken if self._broken not in ("", '""') else ""
        texts = [self._closed(depth, [*self._out, broken])] if broken else []
        while depth and self._whole[depth - 1] == self._open[depth - 1].begin:
            depth -= 1
        if depth:
            texts.append(self._closed(depth, self._out[: self._whole[depth - 1]]))
        for n in range(len(self._open) - 2, -1, -1):
            if self._open[n].opener == "[" and self._whole[n] > self._open[n].begin:
                texts.append(self._closed(n + 1, self._out[: self._whole[n]]))
                break
        if not texts:
            return NoDocument(self._end, False)
        probe = self._closed(len(self._open), [*self._out, f'{broken[:-1]}{PROBE}"']) if broken else None
        return Mended(tuple(dict.fromkeys(texts)), probe, self._end, tuple(self._repairs), self._is_guess)

    def _closed(self, depth: int, pieces: list[str]) -> str:
        return "".join(pieces) + "".join("}" if one.opener == "{" else "]" for one in reversed(self._open[:depth]))
