"""A task that takes part in conversations: what was said before is put before its question, fitted into so many tokens, and kept afterwards."""

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

from freehold.chat import Message, Text
from freehold.context.conversation import StoredConversations
from freehold.context.count import Tokenizer, counter_of
from freehold.context.history import Strategy, Trim, fit
from freehold.errors import CallerError
from freehold.pipelines.media import tokens_of_part
from freehold.project import Project


class History(NamedTuple):
    """How much of a conversation a task is told."""

    budget_tokens: int
    """The most tokens that what was said before may take, with the question."""
    strategy: Strategy = Trim()
    """What becomes of a conversation that is longer: trimmed, summarised, or looked through for what is like the question."""
    tokenizer: Tokenizer | None = None
    """The model's own, by which tokens are counted; None for an estimate."""


async def before(project: Project, conversation: str, history: History, question: Message) -> tuple[Message, ...]:
    """What is said before a question. Raises CallerError where the question alone is too long."""
    said = await asyncio.to_thread(_kept(project).read, conversation)
    counter = counter_of(tokenizer=history.tokenizer, estimates=tokens_of_part)
    fitted = await fit((*said, question), history.budget_tokens, history.strategy, counter)
    return fitted.messages[:-1]


async def after(project: Project, conversation: str, question: Message, answer: str, call: str) -> None:
    """Keeps a question and its answer at the end of a conversation."""
    kept = _kept(project, call)
    await asyncio.to_thread(kept.append, conversation, (question, Message(role="assistant", parts=(Text(text=answer),))))


def check_kept(project: Project, task: str) -> None:
    """Raises CallerError where the words of a task's calls are not kept, so that no conversation can be."""
    known = project.config.tasks.get(task)
    content = (known.content if known else None) or project.config.journal.content
    if content != "full":
        raise CallerError(
            f'Task \'{task}\' takes part in conversations, and content = "{content}" keeps no words of it. Set content = "full" under [tasks.{task}], '
            "or call it outside of a conversation."
        )


def _kept(project: Project, call: str | None = None) -> StoredConversations:
    return StoredConversations(project.store, project.tenant, datetime.now(UTC), call)
