"""Credits that were granted to budgets: by how much each may spend more altogether than its limit says.

A budget without a total has nothing that credits could raise. What a credit bought is settled in the ledger as any call is.
"""

from sqlalchemy import func, select

from freehold.store.open import Store
from freehold.store.schema import credits


def granted(store: Store, tenant: str) -> dict[str, int]:
    """By scope, `key:ID` or `team:NAME`, what was granted and not taken back, in billionths of a dollar. Raises OperatorError."""
    sums = (
        select(credits.c.scope, func.sum(credits.c.amount_nano))
        .where(credits.c.tenant == tenant, credits.c.scope.isnot(None))
        .group_by(credits.c.scope)
    )
    with store.reading() as connection:
        return {scope: -int(amount) for scope, amount in connection.execute(sums)}
