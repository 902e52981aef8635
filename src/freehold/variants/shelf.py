"""Where specialists stand: a row for each in the store, its files as blobs."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec
from sqlalchemy import Select, delete, func, insert, select

from freehold.errors import CallerError, DataError, nearest
from freehold.store.open import Store
from freehold.store.schema import specialists
from freehold.store.times import microseconds
from freehold.variants.card import Artefact, Card

_c = specialists.c


def store_files(store: Store, files: Mapping[str, bytes]) -> tuple[Artefact, ...]:
    """The files as blobs, by name."""
    return tuple(Artefact(name, len(data), sha256(data).hexdigest(), store.blobs.put(data)) for name, data in sorted(files.items()))


def read_files(store: Store, card: Card) -> dict[str, bytes]:
    """A specialist's files. Raises DataError for one that is not what its card says, OperatorError for one that is missing."""
    found = {file.name: store.blobs.get(file.blob) for file in card.files}
    for file in card.files:
        if sha256(found[file.name]).hexdigest() != file.sha256:
            raise DataError(f"{card.label}: '{file.name}' is not what its card says. Restore it from a backup, or train it again.")
    return found


def add(store: Store, card: Card) -> None:
    """Puts a specialist on the shelf. Raises CallerError where another one has its name."""
    with store.writing() as connection:
        known = connection.execute(select(_c.hash).where(_c.tenant == card.tenant, _c.name == card.name)).scalar()
        if known == card.hash:
            return
        if known is not None:
            raise CallerError(f"There is a specialist '{card.name}' already, made of something else. Give this one another --name.")
        connection.execute(
            insert(specialists).values(
                tenant=card.tenant,
                name=card.name,
                task=card.task,
                method=card.plan.method,
                hash=card.hash,
                dataset=card.dataset,
                subject=card.subject,
                card=msgspec.json.encode(card),
                created_at=microseconds(card.created_at),
            )
        )


def find(store: Store, tenant: str, name: str) -> Card:
    """The specialist of that name. Raises CallerError."""
    found = _cards(store, select(_c.card).where(_c.tenant == tenant, _c.name == name))
    if not found:
        hint = nearest(name, {card.name for card in on_shelf(store, tenant)})
        raise CallerError(f"There is no specialist '{name}'.{hint} 'freehold train TASK --method METHOD' makes one.")
    return found[0]


def on_shelf(store: Store, tenant: str, task: str | None = None) -> list[Card]:
    """Every specialist, or those of a task, oldest first."""
    wanted = select(_c.card).where(_c.tenant == tenant).order_by(_c.seq)
    return _cards(store, wanted if task is None else wanted.where(_c.task == task))


def chain(store: Store, card: Card) -> list[Card]:
    """A specialist and those it goes on from, newest first, as far as they still stand here."""
    found, known = [card], {other.name: other for other in on_shelf(store, card.tenant)}
    while (before := known.get(found[-1].plan.continues or "")) is not None and before not in found:
        found.append(before)
    return found


def of_subject(store: Store, tenant: str, subject: str) -> list[Card]:
    """Those that belong to a person or customer alone."""
    return _cards(store, select(_c.card).where(_c.tenant == tenant, _c.subject == subject).order_by(_c.seq))


def newest(store: Store, tenant: str) -> int:
    """Changes whenever a specialist comes or goes."""
    wanted = select(func.coalesce(func.max(_c.seq), 0), func.count()).where(_c.tenant == tenant)
    with store.reading() as connection:
        last, count = connection.execute(wanted).one()
    return int(last) * 1_000_003 + int(count)


def remove(store: Store, card: Card) -> None:
    """Takes a specialist from the shelf, with those of its files that no other one has."""
    with store.writing() as connection:
        connection.execute(delete(specialists).where(_c.tenant == card.tenant, _c.name == card.name))
    remove_files(store, card)


def remove_files(store: Store, card: Card) -> None:
    """Removes those of its files that nothing on any shelf has: of one that was removed, or was never put there."""
    with store.reading() as connection:
        rest = [msgspec.json.decode(row.card, type=Card) for row in connection.execute(select(_c.card))]
    needed = {file.blob for other in rest for file in other.files}
    for file in card.files:
        if file.blob not in needed:
            store.blobs.remove(file.blob)


def habit_name(shared: str, owner: str) -> str:
    """What the habit of an owner over a specialist is called. `owner`: their hash."""
    return f"{shared}~{owner[:16]}"


def free_name(store: Store, tenant: str, task: str, method: str) -> str:
    """A name that nobody has: `TASK-METHOD-N`."""
    taken = {card.name for card in on_shelf(store, tenant)}
    return next(name for n in range(1, len(taken) + 2) if (name := f"{task}-{method}-{n}") not in taken)


def _cards(store: Store, wanted: Select[tuple[bytes]]) -> list[Card]:
    with store.reading() as connection:
        return [msgspec.json.decode(row.card, type=Card) for row in connection.execute(wanted)]
