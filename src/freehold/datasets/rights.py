"""On what terms a row may be used: its licence, the consent to it, and whether those who wrote its answer let it train other models."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from freehold.config import Config
from freehold.journal.call import Call

Permission: TypeAlias = Literal["yes", "no", "ask"]
LICENCE, CONSENT = "licence", "consent"
"""The tags by which a call says its own."""
_NO = ("", "no", "none")
_OURS = {"head", "rules", "code", "expert"}
"""Kinds of variants whose answers are nobody else's."""
_WORST: tuple[Permission, ...] = ("yes", "ask", "no")


class Writer(NamedTuple):
    """Who wrote an answer, and whether it may train other models."""

    name: str
    """The provider; several joined by `+`; `ours` for what answers on this machine; else the variant, of which nobody knows whose it is."""
    trains: Permission
    """As its terms say; `ask` until somebody has confirmed either."""


OURS = Writer("ours", "yes")


class Rights:
    """What the configuration and a call's own tags say."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._variants = config.catalog().variants
        self._known: dict[str, Writer] = {}

    def licence(self, call: Call) -> str | None:
        """The licence of a call: its tag's, else its task's, else the project's."""
        task = self._config.tasks.get(call.task or "")
        said = call.tags.get(LICENCE) or (task.licence if task else None) or self._config.data.licence
        return None if (said or "").lower() in _NO else said

    def consent(self, call: Call) -> str | None:
        """What the use of a call rests on, in the same order. A call that says `no` has none, whatever its task says."""
        task = self._config.tasks.get(call.task or "")
        said = call.tags.get(CONSENT) or (task.consent if task else None) or self._config.data.consent
        return None if (said or "").lower() in _NO else said

    def writer(self, variant: str) -> Writer:
        """Who answers as this variant."""
        if variant not in self._known:
            self._known[variant] = self._writer(variant, ())
        return self._known[variant]

    def _writer(self, name: str, above: tuple[str, ...]) -> Writer:
        variant = self._variants.get(name)
        if variant is not None and name in self._config.variants and name not in above:
            asked = [one for one in (variant.model, *variant.asks()) if one is not None]
            return together([self._writer(one, (*above, name)) for one in asked]) if asked else Writer(name, "ask")
        model = self._config.models.get(name)
        if model is None:
            return OURS if variant is not None and variant.kind in _OURS else Writer(name, "ask")
        if model.rules is not None:
            return OURS
        provider = self._config.providers.get(model.provider or "")
        return Writer(model.provider or name, model.trains_others or (provider.trains_others if provider else "ask"))


def together(writers: Sequence[Writer]) -> Writer:
    """Those who wrote an answer between them: the strictest says."""
    names = sorted({writer.name for writer in writers})
    return Writer("+".join(names), max((writer.trains for writer in writers), key=_WORST.index))
