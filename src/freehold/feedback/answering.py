"""`GET /v1/expert/asks` and `POST /v1/expert/answers`: people answer questions that calls wait with, over HTTP."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError, FreeholdError
from freehold.feedback.experts import TooLate, UnknownQuestion, answer
from freehold.gateway.budget import NANO
from freehold.gateway.fields import Fields, json_object
from freehold.gateway.formats import OPENAI
from freehold.gateway.reply import Reply, Request
from freehold.store.open import Store
from freehold.variants.expert import ExpertAsk, open_asks

_MOST_SHOWN = 100
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.feedback")


class Person(Protocol):
    """Who answers, and which tasks are theirs. A key is one."""

    @property
    def name(self) -> str:
        """Who it is."""

    def may_answer(self, task: str) -> bool:
        """Whether questions of a task are shown to them."""


class AnswerDesk:
    """Shows what waits for people, and takes their answers, each once."""

    def __init__(self, store: Store, tenant: str, who: Callable[[Request], Person | None]) -> None:
        """`who` asks: whoever shows what proves it; None where nothing has to be proved, and the body says who it is. Raises CallerError."""
        self._store = store
        self._tenant = tenant
        self._who = who
        self._under_way: set[asyncio.Task[None]] = set()

    def list_asks(self, request: Request, reply: Reply) -> None:
        """Those that wait, the one that is due first first."""
        person = self._who(request)

        async def tell() -> None:
            found = await asyncio.to_thread(open_asks, self._store, self._tenant, datetime.now(UTC))
            shown = [ask for ask in found if person is None or person.may_answer(ask.task)]
            _answer(reply, 200, {"object": "list", "data": [_told(ask) for ask in shown[:_MOST_SHOWN]], "waiting": len(shown)})

        self._do(tell(), reply)

    def take(self, request: Request, reply: Reply) -> None:
        """Answers once the answer is durable."""
        person = self._who(request)

        async def store() -> None:
            body = json_object(request)
            fields = Fields(body, "")
            id, took_s = fields.need("id", str), fields.take("took_s", float)
            if "answer" not in body:
                raise CallerError("answer is missing; null is no answer")
            said, name = fields.raw("answer"), fields.take("expert", str)
            if rest := fields.rest():
                raise CallerError(f"'{next(iter(rest))}' is no field of an answer; expected id, answer, took_s and expert")
            if person is not None and name not in (None, person.name):
                raise CallerError(f"expert is '{name[:80]}', and the key is '{person.name}'s. Leave expert out.")
            whose = (name or "") if person is None else person.name
            may = None if person is None else person.may_answer
            given = await asyncio.to_thread(answer, self._store, self._tenant, id, whose, said, took_s, datetime.now(UTC), may)
            _answer(reply, 200, {"id": given.id, "state": given.state, "expert": given.expert, "earned_usd": given.price_nano / NANO})

        self._do(store(), reply)

    def _do(self, work: Coroutine[Any, Any, None], reply: Reply) -> None:
        async def safely() -> None:
            try:
                await work
            except UnknownQuestion as error:
                _answer(reply, 404, OPENAI.error(404, str(error), ""))
            except TooLate as error:
                _answer(reply, 409, OPENAI.error(409, str(error), ""))
            except CallerError as error:
                _answer(reply, 400, OPENAI.error(400, str(error), ""))
            except FreeholdError as error:
                _answer(reply, 503, OPENAI.error(503, str(error), ""))
            except Exception:  # noqa: BLE001 a request's boundary: whatever it is, whoever asked hears of it
                _log.exception("answer.failed")
                _answer(reply, 500, OPENAI.error(500, "Freehold failed at this, and its log says how.", ""))

        task = asyncio.get_running_loop().create_task(safely())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def _told(ask: ExpertAsk) -> dict[str, JSON]:
    """A question as it is shown: nothing of who asks."""
    shown = ask.question
    return {
        "id": ask.id,
        "task": ask.task,
        "expertise": ask.expertise,
        "at": ask.at.isoformat(),
        "deadline": ask.deadline.isoformat(),
        "price_usd": ask.price_nano / NANO,
        **({} if shown is None else msgspec.structs.asdict(shown)),
    }


def _answer(reply: Reply, status: int, body: dict[str, JSON]) -> None:
    reply.send(status, ((b"content-type", b"application/json"),), _encode(body))
