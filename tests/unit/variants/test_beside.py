"""Models beside a worker: the same answers as here, many at once, and what happens when the process, or one model, breaks."""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from freehold.routing.arrays import pack
from freehold.store.blobs import Blobs
from freehold.store.open import Store, open_store
from freehold.training.heads import fit_head
from freehold.variants import shelf
from freehold.variants.beside import Beside, ModelFailed
from freehold.variants.card import Card, Plan
from freehold.variants.heads import HEAD
from freehold.variants.specialist import load
from freehold.variants.specialists import Specialists
from simulated import a_task

PAIRS = a_task(300)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store("sqlite:///freehold.db", tmp_path, "process")
    yield opened
    opened.close()


def a_head(store: Store, name: str = "sorter", seed: int = 0, data: bytes | None = None, is_quick: bool = False) -> Card:
    """A trained head on the shelf, said to take its time unless it is quick."""
    labels = [PAIRS.answers[code] for code in PAIRS.truth_N]
    head, _ = fit_head(PAIRS.texts, labels, np.arange(len(PAIRS)) % 3, seed)
    arrays = {"idf_B": head.idf_B, "coef_BC": head.coef_BC, "intercept_C": head.intercept_C}
    about = {"answers": list(head.answers), "temperature": head.temperature, "embedder": None, "least_in_scope": 0.0, "threshold": None}
    packed = pack(arrays, about)
    card = Card(
        name=name, tenant="default", task="triage", format="head", files=shelf.store_files(store, {HEAD: data or packed}),
        plan=Plan(task="triage", method="head", dataset="none@0", code="0"), dataset=None, is_quick=is_quick, training_s=0.0, training_usd=0.0,
        created_at=datetime(2026, 3, 4, tzinfo=UTC),
    )  # fmt: skip
    shelf.add(store, card)
    return card


def test_it_answers_as_it_would_here_however_many_ask_at_once(store: Store) -> None:
    card = a_head(store)
    here = load(store, card).answer(PAIRS.texts[:200])

    async def there() -> list[object]:
        beside = Beside(store.blobs, "process")
        try:
            return list(await asyncio.gather(*(beside.answer(card, None, text) for text in PAIRS.texts[:200])))
        finally:
            beside.close()

    assert asyncio.run(there()) == here


def test_who_waits_for_a_process_that_dies_is_told_and_the_next_one_starts_it_again(store: Store) -> None:
    card = a_head(store)

    async def run() -> None:
        beside = Beside(store.blobs, "process")
        first = await beside.answer(card, None, PAIRS.texts[0])
        process = beside.process_id
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        waiting = asyncio.ensure_future(beside.answer(card, None, PAIRS.texts[1]))
        await asyncio.sleep(0)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(ModelFailed, match="its process ended"):
            await waiting
        assert await beside.answer(card, None, PAIRS.texts[0]) == first
        assert beside.process_id != process
        beside.close()

    asyncio.run(run())


def test_a_model_that_cannot_be_read_fails_its_own_questions_alone(store: Store) -> None:
    good, broken = a_head(store), a_head(store, "broken", data=b"no head at all")

    async def run() -> None:
        beside = Beside(store.blobs, "process")
        answers = await asyncio.gather(beside.answer(broken, None, "a"), beside.answer(good, None, PAIRS.texts[0]), return_exceptions=True)
        beside.close()
        assert isinstance(answers[0], ModelFailed) and "not a head" in str(answers[0])
        assert not isinstance(answers[1], BaseException) and answers[1] is not None

    asyncio.run(run())


def test_an_artefact_that_was_tampered_with_is_not_read(store: Store) -> None:
    card = a_head(store)
    path = Blobs(store.blobs.folder, "process").path(card.files[0].blob)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))

    async def run() -> None:
        beside = Beside(store.blobs, "process")
        with pytest.raises(ModelFailed, match="is damaged"):
            await beside.answer(card, None, "a")
        beside.close()

    asyncio.run(run())


def test_those_asked_longest_ago_make_room(store: Store) -> None:
    """With room for one and a half, the one that is asked takes the place of the other; both go on answering."""
    size = load(store, a_head(store, "one", is_quick=True)).size_bytes
    a_head(store, "two", seed=1, is_quick=True)
    served = Specialists(store, "default", most_bytes=size * 3 // 2)
    served.refresh()
    first = served.run("one", PAIRS.texts[0], None)
    for name in ("two", "one", "two"):
        assert served.run(name, PAIRS.texts[0], None) is not None
        assert served.held_bytes == size
    assert served.run("one", PAIRS.texts[0], None) == first
