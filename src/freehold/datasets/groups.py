"""The groups of items: those that depend on each other, whoever's call said so."""

from collections.abc import Iterable, Sequence


def joined(items: Sequence[str], named: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The group of each item by the groups that its calls name. Groups that share an item are one; an item that names none is its own."""
    joined: dict[str, str] = {}

    def first(name: str) -> str:
        while (further := joined.setdefault(name, name)) != name:
            name = further
        return name

    of_items = [set(names) for names in named]
    for names in of_items:
        least = min(map(first, names), default="")
        joined.update((first(name), least) for name in names)
    return tuple(first(min(names)) if names else f"item:{item}" for item, names in zip(items, of_items, strict=True))
