"""Scores answers: every item, variant and scorer of an evaluation, some at a time, each score journalled as what its scorer said of the call."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.evaluation.judge import Judge
from freehold.evaluation.recorded import Recorded
from freehold.evaluation.scorer import Case, Score, Scorer
from freehold.evaluation.table import Table, groups_of, selects
from freehold.evaluation.verdict import feedback_from, verdict_id
from freehold.evaluator.questions import CHUNK, Given, Question, Questions, Whole, scored_id, whole
from freehold.journal.call import Feedback
from freehold.journal.read import feedback_by_id
from freehold.journal.redact import redact_feedback
from freehold.journal.write import append_feedback
from freehold.project import Project

AT_ONCE = 64
"""Scores under way at one time."""
NOT_ASKED = "it was not asked"
ERASED = "its words were erased meanwhile"
SPENT = "the budget was spent"


class Agreement:
    """Whether an answer equals the reference's. No case of its own is scored: only the two together."""

    needs_truth = False
    metric = Metric(id=AGREEMENT, kind="binary", deterministic=True)

    async def score(self, case: Case) -> Score:
        """As of `Scorer`."""
        return Score(None, "agreement is of two answers")

    def of(self, answer: Given, reference: Given | None) -> Score:
        """Whether the two are equal."""
        if reference is None or reference.digest is None:
            return Score(None, "the reference has no answer")
        return Score(float(answer.digest == reference.digest))


Instrument: TypeAlias = Scorer | Recorded | Agreement


class Known(NamedTuple):
    """Scores that are journalled already, by scorer and call."""

    by_scorer: Mapping[str, Mapping[str, float]] = {}


def blank(questions: Questions, variants: Sequence[str], instruments: Sequence[Instrument]) -> Table:
    """The table of an evaluation before anything is scored: who answered, at what cost, and how fast."""
    shape = len(questions.rows), len(variants)
    given = [[question.given.get(name) for name in variants] for question in questions.rows]
    scores_SNV = np.full((len(instruments), *shape), np.nan)
    why = np.full((len(instruments), *shape), "", dtype=object)
    return Table(
        task=questions.under,
        variants=tuple(variants),
        metrics=tuple(one.metric for one in instruments),
        items=tuple(question.item for question in questions.rows),
        group_N=groups_of(questions.groups),
        selects_N=selects(questions.under, questions.groups),
        tags=tuple(question.tags for question in questions.rows),
        score_SNV=scores_SNV,
        why_SNV=why,
        silent_NV=np.array([[one is not None and not one.has_answer for one in row] for row in given], dtype=bool).reshape(shape),
        answered_NV=np.array([[one is not None and one.has_answer for one in row] for row in given], dtype=bool).reshape(shape),
        cost_NV=_numbers(given, shape, lambda one: one.cost_usd),
        latency_NV=_numbers(given, shape, lambda one: one.latency_s),
    )


def _numbers(
    given: list[list[Given | None]], shape: tuple[int, int], of: Callable[[Given], float | None]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """A number of each answer; NaN where there is none, or nobody knows it."""
    values = [[np.nan if one is None or (value := of(one)) is None else value for one in row] for row in given]
    return np.array(values, dtype=np.float64).reshape(shape)


class Scoring:
    """Fills a table. What scoring costs adds up."""

    def __init__(
        self,
        project: Project,
        questions: Questions,
        instruments: Sequence[Instrument],
        table: Table,
        reference: str | None,
        evaluation: str,
        known: Known,
        tell: Callable[[int], None],
        budget_usd: float | None = None,
        expected_usd: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """`budget_usd`: what judges may cost. When it is spent none is asked any more; what those under way cost may go beyond it. `expected_usd`: about
        what each asks for a judgement, which counts where nobody knows what one did cost."""
        self.cost_usd: float | None = 0.0
        self.left = 0
        """Judgements that the budget left out."""
        self._budget_usd = budget_usd
        self._expected_usd = expected_usd
        self._spent_usd = 0.0
        self._project = project
        self._questions = questions
        self._instruments = instruments
        self._table = table
        self._reference = reference
        self._evaluation = evaluation
        self._known = known
        self._tell = tell
        self._done = 0
        self._content = questions.task.content or project.config.journal.content

    async def some(self, keep_N: NDArray[np.bool_], now: Callable[[], datetime]) -> None:
        """Scores those items."""
        rows = [(n, question) for n, question in enumerate(self._questions.rows) if keep_N[n]]
        place = {question.item: n for n, question in rows}
        chosen = [question for _, question in rows]
        if all(isinstance(one, Recorded | Agreement) for one in self._instruments):
            for n, question in rows:
                self._by_columns(n, question)
            self._told(len(rows))
            return
        room = asyncio.Semaphore(AT_ONCE)
        for start in range(0, len(chosen), CHUNK):
            part = chosen[start : start + CHUNK]
            found = {one.question.item: one for some in whole(self._project, part, self._table.variants) for one in some}
            said: list[Feedback] = []
            async with asyncio.TaskGroup() as group:
                for question in part:
                    self._by_columns(place[question.item], question)
                    for s, instrument in enumerate(self._instruments):
                        if not isinstance(instrument, Recorded | Agreement):
                            held = found.get(question.item)
                            group.create_task(self._item(room, s, instrument, place[question.item], question, held, said, now))
            append_feedback(self._project.store, said)
            self._told(len(part))

    def _told(self, count: int) -> None:
        self._done += count
        self._tell(self._done)

    def _by_columns(self, n: int, question: Question) -> None:
        """What needs no words: recorded scores, and whether answers agree."""
        reference = question.given.get(self._reference or "")
        for s, instrument in enumerate(self._instruments):
            if isinstance(instrument, Recorded | Agreement):
                for v, name in enumerate(self._table.variants):
                    given = question.given.get(name)
                    if given is None:
                        self._put(s, n, v, Score(None, NOT_ASKED))
                    elif isinstance(instrument, Agreement):
                        self._put(s, n, v, instrument.of(given, reference))
                    else:
                        self._put(s, n, v, instrument.of(given.call))

    async def _item(
        self,
        room: asyncio.Semaphore,
        s: int,
        scorer: Scorer,
        n: int,
        question: Question,
        held: Whole | None,
        said: list[Feedback],
        now: Callable[[], datetime],
    ) -> None:
        """One scorer on every answer to one item."""
        for v, name in enumerate(self._table.variants):
            given = question.given.get(name)
            if given is None:
                self._put(s, n, v, Score(None, NOT_ASKED))
                continue
            known = self._known.by_scorer.get(scorer.metric.id, {}).get(given.call)
            if known is not None:
                self._put(s, n, v, Score(known))
                continue
            call = None if held is None else held.calls.get(name)
            if held is None or call is None:
                self._put(s, n, v, Score(None, ERASED))
                continue
            case = Case(
                item=question.item,
                input=held.asked.input,
                output=call.output,
                has_truth=held.has_truth,
                truth=held.truth,
                sources=question.sources,
                call=call,
            )
            if isinstance(scorer, Judge) and scorer.table.kind == "pairwise":  # which compares with the reference's answer
                other = held.calls.get(self._reference or "")
                if name == self._reference or other is None or other.output is None:
                    self._put(s, n, v, Score(None, "it is compared with the reference's answer, and this is it, or there is none"))
                    continue
                case = msgspec.structs.replace(case, has_truth=True, truth=other.output)
            async with room:
                if isinstance(scorer, Judge) and self._is_spent:
                    self.left += 1
                    self._put(s, n, v, Score(None, SPENT))
                    continue
                found = await scorer.score(case)
            self.cost_usd = None if self.cost_usd is None or found.cost_usd is None else self.cost_usd + found.cost_usd
            self._spent_usd += self._expected_usd.get(scorer.metric.id, 0.0) if found.cost_usd is None else found.cost_usd
            self._put(s, n, v, found)
            if (kept := feedback_from(scorer, case, found, self._project.tenant, now())) is not None:
                kept = msgspec.structs.replace(kept, id=_said_id(scorer, call.id, self._evaluation))
                said.append(redact_feedback(kept, self._content))

    @property
    def _is_spent(self) -> bool:
        return self._budget_usd is not None and self._spent_usd >= self._budget_usd

    def _put(self, s: int, n: int, v: int, found: Score) -> None:
        """A score; the worst there is where the variant was asked and has no answer, and for that reason no score."""
        value, metric = found.value, self._table.metrics[s]
        if value is None and self._table.silent_NV[n, v] and found.why not in (ERASED, SPENT):
            value, why = metric.range[0 if metric.better == "higher" else 1], "it was asked and did not answer"
        else:
            why = found.why
        self._table.score_SNV[s, n, v] = np.nan if value is None else value
        self._table.why_SNV[s, n, v] = why


def _said_id(scorer: Scorer, call: str, evaluation: str) -> str:
    """A judge says one thing of a call by one rubric, whoever asks it; any other scorer in each evaluation, for it costs nothing."""
    return verdict_id(scorer, call) if isinstance(scorer, Judge) else scored_id(call, scorer.metric.id, evaluation)


def journalled(
    project: Project, questions: Questions, instruments: Sequence[Instrument], variants: Sequence[str], evaluation: str, is_resumed: bool
) -> Known:
    """What has been scored already: by judges at any time, by others where this evaluation is gone on with."""
    calls = [given.call for question in questions.rows for name in variants if (given := question.given.get(name)) is not None]
    found: dict[str, dict[str, float]] = {}
    with project.store.reading() as connection:
        for one in instruments:
            if isinstance(one, Judge) or (is_resumed and not isinstance(one, Recorded | Agreement)):
                ids = {_said_id(one, call, evaluation): call for call in calls}
                said = feedback_by_id(connection, list(ids))
                found[one.metric.id] = {ids[id]: feedback.value for id, feedback in said.items() if feedback.value is not None}
    return Known(found)
