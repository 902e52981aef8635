"""Freehold answers each LLM call with the cheapest thing that is good enough, with measured proof.

Data flows down the list of folders in the README, imports point up it, and the loop is closed by data (a `Policy` row). Read
`catalog.py` for the nouns, `improve.py` for the loop, and `docs/glossary.md` for the words. What a program uses is named here, and imported
when it is: the command line starts without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from freehold.catalog import Reward as Reward
    from freehold.catalog import Sampling as Sampling
    from freehold.context.history import Retrieve as Retrieve
    from freehold.context.history import Summarise as Summarise
    from freehold.context.history import Trim as Trim
    from freehold.context.media import Audio as Audio
    from freehold.context.media import File as File
    from freehold.context.media import Image as Image
    from freehold.context.video import Evenly as Evenly
    from freehold.context.video import EveryS as EveryS
    from freehold.context.video import Frame as Frame
    from freehold.context.video import Video as Video
    from freehold.evaluation.function import scorer as scorer
    from freehold.evaluation.judge import judge as judge
    from freehold.evaluation.scorer import Case as Case
    from freehold.evaluation.scorer import Score as Score
    from freehold.evaluator.evaluate import evaluate as evaluate
    from freehold.pipelines.failure import AnswerRefused as AnswerRefused
    from freehold.pipelines.failure import BudgetSpent as BudgetSpent
    from freehold.pipelines.failure import Cancelled as Cancelled
    from freehold.pipelines.failure import MalformedAnswer as MalformedAnswer
    from freehold.pipelines.failure import NotAnswered as NotAnswered
    from freehold.pipelines.failure import NotAsked as NotAsked
    from freehold.pipelines.failure import NotKept as NotKept
    from freehold.pipelines.failure import NotReady as NotReady
    from freehold.pipelines.failure import StepFailed as StepFailed
    from freehold.pipelines.failure import TookTooLong as TookTooLong
    from freehold.pipelines.job import Job as Job
    from freehold.pipelines.media import Voice as Voice
    from freehold.pipelines.pipeline import episode as episode
    from freehold.pipelines.pipeline import pipeline as pipeline
    from freehold.pipelines.plan import Goal as Goal
    from freehold.pipelines.plan import NotReached as NotReached
    from freehold.pipelines.plan import plan as plan
    from freehold.pipelines.remember import History as History
    from freehold.pipelines.runtime import use as use
    from freehold.pipelines.say import agive_feedback as agive_feedback
    from freehold.pipelines.say import feedback_token as feedback_token
    from freehold.pipelines.say import give_feedback as give_feedback
    from freehold.pipelines.scope import scope as scope
    from freehold.pipelines.task import Answer as Answer
    from freehold.pipelines.task import task as task
    from freehold.variants.code import sandboxed as sandboxed
    from freehold.variants.declare import ask as ask
    from freehold.variants.declare import best_of as best_of
    from freehold.variants.declare import expert as expert
    from freehold.variants.declare import guard as guard
    from freehold.variants.declare import think as think
    from freehold.variants.declare import verify as verify
    from freehold.variants.declare import vote as vote
    from freehold.variants.functions import Pass as Pass
    from freehold.variants.functions import Refuse as Refuse

_WHERE = {
    **dict.fromkeys(("Goal", "NotReached", "plan"), "pipelines.plan"),
    **dict.fromkeys(("Reward", "Sampling"), "catalog"),
    **dict.fromkeys(("Retrieve", "Summarise", "Trim"), "context.history"),
    **dict.fromkeys(("Audio", "File", "Image"), "context.media"),
    **dict.fromkeys(("EveryS", "Evenly", "Frame", "Video"), "context.video"),
    **dict.fromkeys(("Case", "Score"), "evaluation.scorer"),
    "scorer": "evaluation.function",
    "judge": "evaluation.judge",
    **dict.fromkeys(
        (
            "AnswerRefused",
            "BudgetSpent",
            "Cancelled",
            "MalformedAnswer",
            "NotAnswered",
            "NotAsked",
            "NotKept",
            "NotReady",
            "StepFailed",
            "TookTooLong",
        ),
        "pipelines.failure",
    ),
    "evaluate": "evaluator.evaluate",
    "History": "pipelines.remember",
    "Job": "pipelines.job",
    "Voice": "pipelines.media",
    "episode": "pipelines.pipeline",
    "pipeline": "pipelines.pipeline",
    "use": "pipelines.runtime",
    **dict.fromkeys(("agive_feedback", "feedback_token", "give_feedback"), "pipelines.say"),
    "scope": "pipelines.scope",
    "Answer": "pipelines.task",
    "task": "pipelines.task",
    "sandboxed": "variants.code",
    **dict.fromkeys(("ask", "best_of", "expert", "guard", "think", "verify", "vote"), "variants.declare"),
    **dict.fromkeys(("Pass", "Refuse"), "variants.functions"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'freehold' has no attribute '{name}'")
    return getattr(import_module(f"freehold.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return ["__version__", *_WHERE]
