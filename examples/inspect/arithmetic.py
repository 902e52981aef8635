"""A task of Inspect AI, asked of whatever model it is given: `inspect eval arithmetic.py --model freehold/triage`."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def arithmetic() -> Task:
    """Three sums."""
    samples = [Sample(input=f"What is {a} and {b}?", target=str(a + b)) for a, b in ((1, 2), (3, 4), (5, 6))]
    return Task(dataset=samples, solver=generate(), scorer=includes())
