"""A journal in memory for tests of what is written to one."""

from collections.abc import Sequence

import msgspec

from freehold.journal.call import Call, Feedback
from freehold.journal.write import Appended, Conflict


class Memory:
    """A journal in memory, with the rules of the real one: what is new goes in, what differs is a conflict, the first stays."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.feedback: dict[str, Feedback] = {}
        self.batches: list[int] = []

    def __call__(self, calls: Sequence[Call], feedback: Sequence[Feedback]) -> Appended:
        self.batches.append(len(calls))
        conflicts: list[Conflict] = []
        added = present = 0
        for call in calls:
            kept = self.calls.setdefault(call.id, call)
            if kept is call:
                added += 1
            elif kept == call:
                present += 1
            else:
                conflicts.append(Conflict(call.id, kept, call))
        refused = {conflict.id for conflict in conflicts}
        for said in feedback:
            if said.call not in refused:
                first = self.feedback.setdefault(said.id, said)
                if msgspec.structs.replace(said, at=first.at) != first:
                    conflicts.append(Conflict(said.id, first, said))
        return Appended(added=added, present=present, conflicts=tuple(conflicts))
