"""A support desk in four steps: a message is sorted, what is known is looked up, a reply is drafted, and the reply is checked.

docs/tutorial.md builds it step by step. It runs in the folder of `freehold demo`: python desk.py
"""

# mypy: disable-error-code="empty-body"

import asyncio
from typing import Literal

from pydantic import BaseModel

import freehold

Intent = Literal[
    "app_fault", "card_declined", "card_lost", "card_not_arrived", "card_stolen_charge", "card_swallowed", "cash_machine_wrong",
    "change_details", "close_account", "direct_debit", "fee_query", "loan", "login_locked", "mortgage", "open_account", "overdraft",
    "pin_reset", "refund_dispute", "savings_rate", "statement", "transfer_limit", "transfer_pending", "transfer_wrong_account",
    "travel_abroad",
]  # fmt: skip


@freehold.task
def triage(message: str) -> Intent:
    """Say which of 24 intents a customer's message is about."""


class Article(BaseModel):
    """What the bank knows about an intent."""

    title: str
    says: str


ARTICLES: dict[Intent, Article] = {
    "card_swallowed": Article(title="Swallowed cards", says="We have blocked the card. A new one is with you in three days."),
    "pin_reset": Article(title="A new PIN", says="You choose a new PIN at any of our machines; nobody of us ever asks you for it."),
    "statement": Article(title="Statements", says="Statements are in the app under Documents, for seven years back."),
}


def look_up(intent: Intent) -> Article | None:
    """Ordinary Python: nobody is asked."""
    return ARTICLES.get(intent)


class Draft(BaseModel):
    """A reply that nobody has checked."""

    text: str
    source: str


@freehold.task
def draft(message: str, article: Article) -> Draft:
    """Write a reply to the customer in two sentences, from the article and nothing else."""
    return Draft(text=f"Thank you for writing. {article.says}", source=article.title)


@freehold.task(rules="desk.csv")
def check(reply: str) -> Literal["send", "hold"]:
    """Say whether a reply may go out as it is, or a person has to look at it."""


class Reply(BaseModel):
    """What becomes of a message."""

    intent: Intent
    text: str = ""
    goes_to: Literal["customer", "person"]


@freehold.pipeline(deadline_s=10, budget_usd=0.10)
async def desk(message: str) -> Reply:
    """One message, from the door to the reply."""
    intent = await triage.acall(message)
    article = look_up(intent)
    if article is None:
        return Reply(intent=intent, goes_to="person")
    reply = await draft.acall(message, article)
    verdict = await check.acall(reply.text)
    return Reply(intent=intent, text=reply.text, goes_to="customer" if verdict == "send" else "person")


MESSAGES = (
    "My card was swallowed by the machine",
    "I forgot my PIN and need to reset it",
    "Please send me a bank statement for March",
    "My card was stolen and somebody has used it",
)


async def main() -> None:
    """Answers them all at one time; one that fails does not stop the others."""
    replies = await asyncio.gather(*(desk(message) for message in MESSAGES), return_exceptions=True)
    for reply in replies:
        if isinstance(reply, freehold.StepFailed):
            print(f"failed: {type(reply).__name__}, task '{reply.task}'")
        elif isinstance(reply, BaseException):
            raise reply
        else:
            print(f"{reply.intent} -> {reply.goes_to}: {reply.text}")


if __name__ == "__main__":
    asyncio.run(main())
