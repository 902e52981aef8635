"""Lines on their way to the journal: each call and each score once, with the line it stood on."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from freehold.journal.build import Entry, said_id
from freehold.journal.call import Call, Feedback

Named: TypeAlias = Callable[[Sequence[str]], Collection[str]]
"""Which of these calls the journal has under the import's task already, from before their group was given its name."""


class Batch:
    """What is stored in one transaction."""

    def __init__(self) -> None:
        self.last = 0
        """The last line looked at."""
        self.size = 0
        """Bytes the lines took in their file."""
        self._calls: dict[str, tuple[int, Call]] = {}
        self._feedback: dict[str, tuple[int, Feedback]] = {}
        self._unnamed: dict[str, str] = {}
        self._built: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def calls(self) -> list[Call]:
        """Each once."""
        return [call for _, call in self._calls.values()]

    @property
    def feedback(self) -> list[Feedback]:
        """Each once."""
        return [said for _, said in self._feedback.values()]

    def add(self, number: int, entry: Entry) -> tuple[int, Call | Feedback, Call | Feedback] | None:
        """Takes in one line's entry, unless an earlier line contradicts it: gives that line, what it says and what this one does."""
        call, feedback, _, unnamed_id = entry
        first, kept = self._calls.setdefault(call.id, (number, call))
        if kept is not call and kept != call:
            return first, kept, call
        if unnamed_id is not None:
            self._unnamed[call.id] = unnamed_id
        for said in feedback:
            first, known = self._feedback.setdefault(said.id, (number, said))
            if known is not said and known.value != said.value:
                return first, known, said
        return None

    def take_ids(self, named: Named) -> None:
        """Gives the calls that are in the journal from before their task had its name the ids they have there."""
        known = set(named(list(self._unnamed.values()))) if self._unnamed else set()
        for built, stored in self._unnamed.items():
            if stored in known:
                number, call = self._calls.pop(built)
                self._calls[stored] = (number, replace(call, id=stored))
                self._built[stored] = built
        for id, (number, said) in list(self._feedback.items()) if known else []:
            stored = self._unnamed.get(said.call or "", "")
            if stored in known:
                renamed = replace(said, id=said_id(stored, said.metric, said.design), call=stored)
                del self._feedback[id]
                self._feedback[renamed.id] = (number, renamed)
                self._built[renamed.id] = id

    def place_of(self, id: str) -> tuple[str, int]:
        """The id a stored call or score was built with, and its line."""
        number, _ = self._calls.get(id) or self._feedback[id]
        return self._built.get(id, id), number
