"""What a rule of review queues makes of a task's items: reads what it takes, and hands over the numbers to draw by."""

from collections.abc import Sequence

import numpy as np

from freehold.catalog import AGREEMENT, Task
from freehold.datasets.load import load_pairs
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import Fractions
from freehold.errors import CallerError, PolicyError
from freehold.feedback.population import LabelRequest
from freehold.feedback.queue import Rule as By
from freehold.feedback.queue import Worth
from freehold.feedback.queues import contents, queues_of
from freehold.journal.answers import metrics_of
from freehold.project import Project
from freehold.promotion import spread
from freehold.promotion.served import mapped
from freehold.routing.check import Scope, check_condition
from freehold.routing.online import OnlinePolicy
from freehold.routing.program import parse_condition
from freehold.routing.syntax import Fact, Program, Rule, Score, Use, operands, walk
from freehold.routing.tokens import quoted


def worth_of(project: Project, about: LabelRequest, rule: By, region: str) -> Worth | None:
    """How much there is to learn from each item by a rule; None for `random`, which looks at nothing. Raises CallerError, PolicyError."""
    if rule == "random":
        return None
    task = project.catalog.tasks.get(about.task, Task(id=about.task))
    reference = about.reference or task.reference
    if reference is None:
        raise CallerError(f"Compare with what? Say --reference VARIANT, or set reference under [tasks.{about.task}].")
    metric = about.metric or task.metric
    is_labelled = rule == "interval" and metric in metrics_of(project.store, project.tenant, task.id)
    looked_at = metric if is_labelled and metric is not None else AGREEMENT
    pairs = load_pairs(project.store, project.tenant, task.id, reference, project.catalog.metric(looked_at)).pairs
    if about.variants is not None:
        pairs = pairs.columns((reference, *(name for name in about.variants if name in pairs.variants and name != reference)))
    if rule == "disagreement":
        worth_N = spread.disagreement(pairs)
    elif rule == "confidence":
        worth_N = spread.unsure(pairs)
    elif rule == "region":
        worth_N = spread.inside(pairs, _condition(project, pairs, region))
        if not worth_N.any():
            raise CallerError(
                f"--region '{region}' holds for none of the {len(pairs):,} items of task '{task.id}'. Say one that some of them fit."
            )
    else:
        chars_N = np.array([len(text) for text in pairs.texts], dtype=np.float64)
        worth_N = spread.per_cost(spread.spread(pairs, project.tenant, Fractions()), chars_N, _timed(project, pairs))
    told = dict(zip(pairs.items, worth_N.tolist(), strict=True))

    def worth(items: Sequence[str]) -> list[float]:
        return [told.get(item, 0.0) for item in items]

    return worth


def _condition(project: Project, pairs: Pairs, region: str) -> OnlinePolicy:
    """The condition as a policy of two rules, with the arrays that know the task's regions. Raises CallerError for what is no condition, and
    for one that names what the task's items do not have."""
    scorer = mapped(project.store, project.tenant, pairs.task)
    regions = () if scorer is None else scorer.region_names
    scope = Scope(pairs.task, pairs.variants, pairs.reference, regions, tuple(sorted({name for tags in pairs.tags for name in tags})))
    try:
        condition = parse_condition(region)
        check_condition(condition, scope)
    except PolicyError as error:
        where = f"character {error.column}" if error.line == 1 else f"line {error.line}, character {error.column}"
        raise CallerError(f"--region '{region}', {where}: {error.message}{_hint(pairs.task, region, error.message, regions)}") from None
    names = {one.name for node in walk(condition) for one in operands(node) if isinstance(one, Fact)}
    scored = any(isinstance(one, Score) for node in walk(condition) for one in operands(node))
    if scorer is None and ("region" in names or scored):
        raise CallerError(f"--region '{region}': task '{pairs.task}' has no map yet. 'freehold certify {pairs.task}' draws one.")
    program = Program(pairs.task, (Rule(condition, Use(spread.INSIDE)), Rule(None, Use(spread.OUTSIDE))))
    return OnlinePolicy("", program, scorer)


def _hint(task: str, said: str, why: str, regions: Sequence[str]) -> str:
    """What to write instead of a region's name alone, and which regions there are."""
    name = said.strip().strip('"')
    if name in regions:
        return f" Say --region 'region == {quoted(name)}'."
    if "'region'" in why:  # which says them
        return ""
    known = (
        f" Regions: {', '.join(regions)}." if regions else f" Task '{task}' has no map of regions yet; 'freehold certify {task}' draws one."
    )
    return f" A condition is such as 'tag.tier == \"critical\"', 'chars > 400' or 'region == \"NAME\"'.{known}"


def _timed(project: Project, pairs: Pairs) -> list[tuple[float, float]]:
    """How long the texts were that people judged in queues of this task, and how many seconds each took."""
    length = {item: float(len(text)) for item, text in zip(pairs.items, pairs.texts, strict=True)}
    timed: list[tuple[float, float]] = []
    for queue in queues_of(project.store, project.tenant, pairs.task):
        items, verdicts = contents(project.store, queue)
        named = {item.ticket: item.item for item in items}
        for verdict in verdicts:
            if verdict.said.seconds is not None and (item := named.get(verdict.ticket)) in length:
                timed.append((length[str(item)], verdict.said.seconds))
    return timed
