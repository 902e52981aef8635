"""SQL is scored by the rows it gives, and can do nothing but read, for a while."""

import asyncio
import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from bench import data

from freehold.config import Config, parse
from freehold.evaluation.queried import rows_of
from freehold.evaluation.scorer import Case, Score
from freehold.evaluation.scorers import named
from freehold.evaluation.sql import image_of

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL);
INSERT INTO orders VALUES (1, 'ann', 12.5), (2, 'bob', 3), (3, 'ann', 0.1), (4, 'cy', NULL);
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.sql").write_text(SHOP)
    return tmp_path


def scored(folder: Path, said: Any, right: Any) -> Score:
    (scorer,) = named(Config(folder=folder), ["sql:shop.sql"])
    return asyncio.run(scorer.score(Case(item="i", output=said, has_truth=True, truth=right)))


@pytest.mark.parametrize(
    ("said", "right", "wanted"),
    [
        ("select customer from orders where total > 5", "SELECT customer FROM orders WHERE id = 1", 1),
        ("```sql\nselect id from orders\n```", "SELECT id FROM orders", 1),
        ("select id from orders order by id desc", "SELECT id FROM orders", 1),
        ("select id from orders order by id desc", "SELECT id FROM orders ORDER BY id", 0),
        ("select id from orders order by id", "SELECT id FROM orders ORDER BY id;", 1),
        ("select sum(total) from orders", "SELECT 12.5 + 3 + 0.1", 1),
        ("select distinct customer from orders", "SELECT customer FROM orders", 0),
        ("select id, customer from orders", "SELECT id FROM orders", 0),
        ("selct id", "SELECT id FROM orders", 0),
        ("", "SELECT id FROM orders WHERE id > 9", 0),
        ("drop table orders", "SELECT id FROM orders WHERE id > 9", 0),
    ],
)
def test_a_query_is_worth_what_it_gives(shop: Path, said: str, right: str, wanted: float) -> None:
    """Rows count as often as they come, in order where the right query orders them."""
    assert scored(shop, said, right).value == wanted


def test_a_right_query_that_fails_says_nothing_of_the_answer(shop: Path) -> None:
    assert scored(shop, "select 1", "SELECT a FROM nowhere") == (
        None,
        "the right query gives nothing to compare with: no such table: nowhere",
        {},
        0.0,
    )


@pytest.mark.parametrize(
    "query",
    [
        "attach database '/tmp/x.db' as x", "pragma journal_mode = wal", "select load_extension('x')", "delete from orders", "begin",
        "insert into orders values (9, 'x', 1)", "create table x (a)", "vacuum into '/tmp/x.db'", "select readfile('/etc/passwd')",
        "select 1; select 2", "\ud800", "select '\x00'", "select randomblob(1000000000)", "select " + "(" * 2_000 + "1" + ")" * 2_000,
        "select 1" * 50_000, "with recursive r(n) as (select 1 union all select n + 1 from r) select n from r",
    ],
)  # fmt: skip
def test_a_query_only_reads(query: str) -> None:
    assert rows_of(image_of(SHOP), query, 1.0, 1_000).rows is None


@pytest.mark.parametrize(
    "query",
    [
        "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
        "with recursive r(n) as (select 1 union all select n + 1 from r) select n, zeroblob(90000) from r order by 2, 1",
        "select printf('%.1000000000c', 'a')",  # one step of SQLite's, and a minute
    ],
)
def test_a_query_that_goes_on_or_grows_is_ended_and_wrong(shop: Path, query: str) -> None:
    """Where the right one is such a query, nobody knows whether the answer is right."""
    began = time.monotonic()
    config = parse({"scorers": {"shop": {"kind": "sql:shop.sql", "options": {"time_s": 0.5}}}}, shop)
    (scorer,) = named(config, ["shop"])

    def of(said: str, right: str) -> Score:
        return asyncio.run(scorer.score(Case(item="i", output=said, has_truth=True, truth=right)))

    found = of(query, "SELECT 1")
    assert found.value == 0 and ("took" in found.why or "memory" in found.why)
    assert of("SELECT 1", query).value is None
    assert time.monotonic() - began < 15


def test_a_file_of_sqlite_is_a_database_too(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.sql") as database:
        database.executescript(SHOP)
    database.close()
    assert scored(tmp_path, "select 4", "SELECT count(*) FROM orders").value == 1


@pytest.mark.shared_data
def test_queries_of_spider_are_scored_on_databases_made_up_from_their_schemas() -> None:
    """Each right query gives what it gives; with another column, table or bound it gives something else in most cases, and never an error of ours."""
    folder = data.need("spider_dev")
    with gzip.open(folder / "tables.jsonl.gz", "rt") as file:
        images = {row["db_id"]: image_of(made_up(row)) for row in map(json.loads, file)}
    with gzip.open(folder / "questions.jsonl.gz", "rt") as file:
        questions = [json.loads(line) for line in file][::7]
    unread = [row["sql"] for row in questions if rows_of(images[row["db_id"]], row["sql"], 5.0, 10_000).rows is None]
    assert len(questions) > 90 and unread == []


def made_up(row: dict[str, Any]) -> str:
    """A database of that schema with thirty rows a table, numbers and words drawn with a seed."""
    rng, script = random.Random(row["db_id"]), []
    for place, table in enumerate(row["table_names_original"]):
        columns = [(name, kind) for (of, name), kind in zip(row["column_names_original"], row["column_types"], strict=True) if of == place]
        script.append(f'CREATE TABLE "{table}" ({", ".join(chr(34) + name + chr(34) for name, _ in columns)});')
        for _ in range(30):
            values = [str(rng.randrange(40)) if kind == "number" else f"'w{rng.randrange(9)}'" for _, kind in columns]
            script.append(f'INSERT INTO "{table}" VALUES ({", ".join(values)});')
    return "\n".join(script)
