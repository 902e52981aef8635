"""How one owner answers where everybody's specialist says something: counted on rows of their own that it has not learnt from."""

from collections import Counter
from collections.abc import Sequence

from freehold.chat import JSON, canonical_json
from freehold.variants.habit import Habit, Own

PRIOR = 1.0
"""As many rows as the belief is worth that an owner answers as everybody does."""


def fit_habit(shared: Sequence[JSON], own: Sequence[JSON], prior: float = PRIOR) -> Habit:
    """The habit that rows show, `shared` beside `own` answer by answer.

    Of n rows with one shared answer, of which the owner answered k with another, that other has the share k / (n + prior), and the shared one
    (its own rows + prior) / (n + prior): the mean of a Dirichlet posterior whose prior is on the shared answer. The greatest share is answered, and
    of equals the shared one, so that a single odd row changes nothing.
    """
    by_key: dict[bytes, JSON] = {}
    counts: dict[bytes, Counter[bytes]] = {}
    for said, right in zip(shared, own, strict=True):
        before, after = canonical_json(said), canonical_json(right)
        by_key[before], by_key[after] = said, right
        counts.setdefault(before, Counter())[after] += 1
    found = []
    for before in sorted(counts):
        rows = counts[before]
        total = rows.total() + prior
        shares = {after: n / total for after, n in rows.items()} | {before: (rows[before] + prior) / total}
        best = max(sorted(shares), key=lambda after: (shares[after], after == before))
        found.append(Own(by_key[before], by_key[best], shares[best]))
    kept = sum(rows[before] for before, rows in counts.items())
    return Habit(tuple(found), (kept + prior) / (sum(rows.total() for rows in counts.values()) + prior))
