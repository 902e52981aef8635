"""Models as judges: by a rubric, against a right answer, or of two answers in both orders. A judge that fails gives no score, and a reason.

A judge's score is an opinion: it steers and warns, and estimates with people's labels beside it (`ppi.py`); it certifies nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from freehold.catalog import Metric, Sampling
from freehold.chat import JSON, canonical_json
from freehold.errors import CallerError, nearest
from freehold.evaluation import wording
from freehold.evaluation.asking import About, Ask, Said
from freehold.evaluation.grounded import claims_of
from freehold.evaluation.plain import Settings, lacks, words_of
from freehold.evaluation.scorer import Case, Score
from freehold.tables import JudgeTable

PREFIX = "judge:"
"""What the names of judges begin with, as metrics and as sources of feedback."""
_MOST_CLAIMS = 50


class DeclaredJudge(NamedTuple):
    """A judge that a program declares."""

    name: str
    """What it is called, without `judge:`."""
    table: JudgeTable
    """How it judges."""


def judge(
    name: str,
    *,
    model: str,
    rubric: str = "",
    kind: Literal["rubric", "reference", "pairwise"] = "rubric",
    range: tuple[float, float] | None = None,
    better: Literal["higher", "lower"] = "higher",
    sampling: Sampling | None = None,
) -> DeclaredJudge:
    """A judge of a program's own, found by its name as `judge:NAME`: as `[judges.NAME]` in freehold.toml. Raises OperatorError as that does."""
    said = {} if range is None else {"range": range}
    return DeclaredJudge(name, JudgeTable(model=model, rubric=rubric, kind=kind, better=better, sampling=sampling or Sampling(), **said))


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge as a scorer. One of two answers compares with the case's right answer, which is then the other answer."""

    metric: Metric
    table: JudgeTable
    ask: Ask

    @property
    def needs_truth(self) -> bool:
        """As of `Scorer`."""
        return self.table.kind != "rubric"

    @property
    def rubric(self) -> str:
        """Hash of all that its verdicts depend on but what is judged: another rubric, wording, model or range is another judge."""
        return rubric_hash(self.table)

    async def score(self, case: Case) -> Score:
        """As of `Scorer`."""
        if (why := lacks(case, self.needs_truth)) is not None:
            return Score(None, why)
        try:
            shown = wording.shown_of(case.input, case.sources)
            answer = words_of(case.output)
            other = words_of(case.truth) if self.needs_truth else ""
        except Exception as error:  # noqa: BLE001 such as half of a character, which no provider takes
            return Score(None, f"it cannot be put before a judge: {type(error).__name__}")
        if sum(map(len, (answer, other, *shown.values()))) > wording.MOST_CHARACTERS:
            return Score(None, f"question, answer and sources have over {wording.MOST_CHARACTERS:,} characters together")
        if self.table.kind == "pairwise":
            return await self._compare(case, shown, answer, other)
        rubric = self.table.rubric or wording.MATCHES
        shown = {**shown, "answer": answer, **({"right answer": other} if self.needs_truth else {})}
        said = await self._asked(case, wording.score_messages(rubric, self.metric.range, shown))
        if said.text is None:
            return Score(None, said.why, cost_usd=said.cost_usd)
        value, why = wording.score_in(said.text, self.metric.range)
        return Score(value, why, cost_usd=said.cost_usd)

    async def _compare(self, case: Case, shown: Mapping[str, str], answer: str, other: str) -> Score:
        """1 where the answer is better than the other in both orders, 0 where it is worse in both, and half of it otherwise.

        Its parts are what each order said of the answer: `shown_first`, and `shown_second`.
        """
        one, two = await asyncio.gather(
            self._asked(case, wording.pair_messages(self.table.rubric, shown, answer, other)),
            self._asked(case, wording.pair_messages(self.table.rubric, shown, other, answer)),
        )
        cost_usd = None if one.cost_usd is None or two.cost_usd is None else one.cost_usd + two.cost_usd
        if one.text is None or two.text is None:
            return Score(None, one.why or two.why, cost_usd=cost_usd)
        (first, why), (turned, other_why) = wording.better_in(one.text), wording.better_in(two.text)
        if first is None or turned is None:
            return Score(None, why if first is None else other_why, cost_usd=cost_usd)
        second = 1.0 - turned
        value = first if first == second else 0.5
        return Score(
            value,
            why if first == second else "it changed its mind with the order",
            {"shown_first": first, "shown_second": second},
            cost_usd,
        )

    async def _asked(self, case: Case, messages: wording.Messages) -> Said:
        return await self.ask(self.table.model, messages, About(self.metric.id, case.item, case.call), self.table.sampling)


@dataclass(frozen=True, slots=True)
class GroundedByModel:
    """The share of an answer's claims that a model finds supported by the sources."""

    metric: Metric
    model: str
    ask: Ask
    needs_truth: bool = False

    async def score(self, case: Case) -> Score:
        """As of `Scorer`."""
        if (why := lacks(case, False)) is not None:
            return Score(None, why)
        claims = claims_of(words_of(case.output))
        if not any(source.strip() for source in case.sources) or sum(map(len, case.sources)) > wording.MOST_CHARACTERS:
            return Score(None, f"the case has no sources, or over {wording.MOST_CHARACTERS:,} characters of them")
        if not 0 < len(claims) <= _MOST_CLAIMS:
            return Score(None, f"the answer has {len(claims)} claims; from 1 to {_MOST_CLAIMS} are looked at")
        messages = wording.claims_messages(claims, case.sources)
        said = await self.ask(self.model, messages, About(f"{PREFIX}grounded", case.item, case.call), Sampling())
        if said.text is None:
            return Score(None, said.why, cost_usd=said.cost_usd)
        held = wording.supported_in(said.text, len(claims))
        if held is None:
            return Score(None, f"the judge did not say of each claim whether it is supported: {said.text[:120]!r}", cost_usd=said.cost_usd)
        first = next((claim for claim, is_held in zip(claims, held, strict=True) if not is_held), "")
        parts = {"claims": float(len(claims)), "supported": float(sum(held))}
        return Score(sum(held) / len(held), f"unsupported: {first[:200]}" if first else "", parts, said.cost_usd)


def named_judge(settings: Settings) -> Judge:
    """What a judge of the project says: `judge:NAME`, of `[judges.NAME]` in freehold.toml or `freehold.judge` in Python."""
    table = settings.judges.get(settings.option)
    if table is None:
        hint = nearest(settings.option, list(settings.judges)) or " Declare it under [judges.NAME] in freehold.toml."
        raise CallerError(f"There is no judge '{settings.option[:120]}'.{hint}")
    metric = Metric(id=settings.name, range=table.scores, better=table.better)
    return Judge(metric, table, settings.asks())


def toxic_by_model(settings: Settings) -> Judge:
    """As `safety.toxicity`, by a model: from 0 for not at all to 10."""
    table = JudgeTable(model=settings.option, rubric=wording.TOXICITY, range=(0.0, 10.0), better="lower")
    return Judge(Metric(id=settings.name, range=table.scores, better="lower"), table, settings.asks())


def grounded_by_model(settings: Settings) -> GroundedByModel:
    """As `grounded.grounded`, by a model."""
    return GroundedByModel(Metric(id=settings.name), settings.option, settings.asks())


def rubric_hash(table: JudgeTable) -> str:
    """16 hex digits of what a judge goes by."""
    words: JSON = {"score": wording.SCORE, "pair": wording.PAIR, "matches": wording.MATCHES, "table": msgspec.to_builtins(table)}
    return blake2b(canonical_json(words), digest_size=8).hexdigest()
