"""On what terms a row may be used: its licence, the consent to it, and whether those who wrote its answer let it train other models."""

from collections.abc import Collection, Sequence
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


class Terms(NamedTuple):
    """What was said about a call's use."""

    licence: str | None
    """Its licence; None where nobody said, or it has none."""
    consent: str | None
    """What its use rests on; None where nobody said, or somebody refused."""


class Writer(NamedTuple):
    """Who wrote an answer, and whether it may train other models."""

    name: str
    """The provider; several joined by `+`; `ours` for what answers on this machine; else the variant, of which nobody knows whose it is."""
    trains: Permission
    """As its terms say; `ask` until somebody has confirmed either."""


OURS = Writer("ours", "yes")


class Rights:
    """What the configuration and a call's own tags say."""

    def __init__(self, config: Config, specialists: Collection[str] = ()) -> None:
        """`specialists`: the names of variants that were trained here."""
        self._config = config
        self._specialists = frozenset(specialists)
        self._variants = config.catalog().variants
        self._known: dict[str, Writer] = {}
        self._terms: dict[tuple[str | None, str | None, str | None], Terms] = {}

    def terms(self, call: Call) -> Terms:
        """On what terms a call may be used: its own tags say, else its task, else the project. A call that says `no` to either has none,
        whatever its task says."""
        said = (call.task, call.tags.get(LICENCE), call.tags.get(CONSENT))
        if said not in self._terms:
            task, licence, consent = said
            table, usual = self._config.tasks.get(task or ""), self._config.data
            self._terms[said] = Terms(
                _unless_no(licence or (table.licence if table else None) or usual.licence),
                _unless_no(consent or (table.consent if table else None) or usual.consent),
            )
        return self._terms[said]

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
        if name in self._specialists:
            return OURS
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


def _unless_no(said: str | None) -> str | None:
    return None if said is None or said.lower() in _NO else said
