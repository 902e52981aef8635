"""What a person is shown of an item, read from the journal when it is shown: neither draws nor queues hold texts of their own."""

from freehold.feedback.question import Ballot, Content
from freehold.journal.read import calls_by_id
from freehold.store.open import Store


def content_of(store: Store, ballot: Ballot) -> Content | None:
    """What was asked and answered; None where some of it was erased or is not kept."""
    with store.reading() as connection:
        found = calls_by_id(store, connection, [calls[0] for calls in ballot.calls.values()])
    outputs = {digest: found[calls[0]].output for digest, calls in ballot.calls.items() if calls[0] in found}
    if len(outputs) < len(ballot.calls) or None in outputs.values():
        return None
    return Content(next(iter(found.values())).input, outputs)
