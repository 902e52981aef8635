"""`freehold.toml` is read once into records that check themselves, and a slip of the pen is answered by the nearest key."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from freehold.catalog import Budget, Metric, Plan, Rates, Variant
from freehold.chat import Usage
from freehold.config import FILE_NAME, STARTER, Config, find_project, init, load, parse, with_declared
from freehold.errors import OperatorError
from freehold.tables import TaskTable

CONTRACT = """
[project]
name = "support"
[store]
url = "sqlite:///freehold.db"
durability = "process"
[journal]
content = "full"
keep_days = 90
on_failure = "spool"
[providers.openai]
kind = "openai"
base_url = "https://api.openai.com/v1"
key_env = "OPENAI_API_KEY"
trains_others = "no"
[models.frontier]
provider = "openai"
name = "gpt-5"
price = { input_per_mtok = 1.25, output_per_mtok = 10.0 }
[metrics.correct]
kind = "binary"
better = "higher"
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap", "head"]
metric = "correct"
max_loss = 0.02
confidence = 0.95
p95_s = 2.0
[[match]]
model = "gpt-5"
system_prompt = "You sort support messages*"
task = "triage"
"""
"""The file of the design, as a user would write it."""


def read(text: str, folder: Path) -> Config:
    (folder / FILE_NAME).write_text(text)
    return load(folder)


def test_a_key_in_the_file_is_refused_and_not_repeated() -> None:
    with pytest.raises(OperatorError, match="no name of an environment variable") as refused:
        parse({"providers": {"openai": {"kind": "openai", "key_env": "sk-abc123"}}}, Path())
    assert "sk-abc123" not in str(refused.value)


@pytest.mark.parametrize(
    "table", [{"otlp_endpoint": "https://me:sk-abc123@collector"}, {"otlp_headers_env": "authorization=Bearer sk-abc123"}]
)
def test_a_collectors_key_in_the_file_is_refused_and_not_repeated(table: dict[str, str]) -> None:
    with pytest.raises(OperatorError, match="environment variable") as refused:
        parse({"telemetry": table}, Path())
    assert "sk-abc123" not in str(refused.value)


def test_a_word_that_is_none_of_those_there_are_names_the_nearest() -> None:
    with pytest.raises(OperatorError, match=r"metrics\.correct\.kind is 'bin'\. Did you mean 'binary'\? Known: binary, bounded"):
        parse({"metrics": {"correct": {"kind": "bin"}}}, Path())
    with pytest.raises(OperatorError, match=r"tasks\.triage\.max_loss is '2 %': expected `float`"):
        parse({"tasks": {"triage": {"max_loss": "2 %"}}}, Path())
    assert parse({"providers": {"google": {"kind": "gemini"}}}, Path()).providers["google"].kind == "gemini"


def test_the_contract_parses(tmp_path: Path) -> None:
    config = read(CONTRACT, tmp_path)
    assert config.folder == tmp_path
    assert config.project.name == "support"
    assert config.tasks["triage"].variants == ("frontier", "cheap", "head")
    assert config.models["frontier"].price == Rates(input_per_mtok=1.25, output_per_mtok=10)
    assert config.match[0].system_prompt == "You sort support messages*"


def test_an_empty_file_is_a_project_of_defaults(tmp_path: Path) -> None:
    config = read("", tmp_path)
    assert (config.store.url, config.store.durability) == ("sqlite:///freehold.db", "process")
    assert (config.journal.content, config.journal.keep_days, config.journal.on_failure) == ("full", 90, "spool")


def test_the_catalog_holds_what_the_file_names(tmp_path: Path) -> None:
    """A variant that only a task names is its model's namesake; one called head is a head."""
    catalog = read(CONTRACT, tmp_path).catalog()
    assert catalog.task("triage").max_loss == 0.02
    assert catalog.variants["frontier"] == Variant(id="frontier", kind="llm", model="frontier")
    assert catalog.variants["head"].kind == "head"
    assert set(catalog.variants) == {"frontier", "cheap", "head"}
    assert catalog.models["frontier"].name == "gpt-5"
    assert catalog.metrics["correct"] == Metric(id="correct", kind="binary")


def test_the_file_s_prices_stand_above_the_snapshot_s(tmp_path: Path) -> None:
    prices = read(CONTRACT.replace("1.25", "7.0"), tmp_path).price_book()
    assert prices.cost("gpt-5", Usage(input_tokens=1_000_000)) == 7.0
    assert prices.provider_of("gpt-5") == "freehold.toml"


def test_two_prices_for_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them a call was billed at would be a guess."""
    text = CONTRACT + '[models.other]\nname = "gpt-5"\nprice = { input_per_mtok = 2, output_per_mtok = 10 }\n'
    with pytest.raises(OperatorError, match=r"models\.frontier and models\.other give 'gpt-5' two prices"):
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("found", "written", "said"),
    [
        ("durability", "durabilty", r"\[store\] has no key 'durabilty'\. Did you mean 'durability'\?"),
        ("[journal]", "[jurnal]", r"the file has no key 'jurnal'\. Did you mean 'journal'\?"),
        ('kind = "openai"', 'knd = "openai"', r"\[providers\.openai\] has no key 'knd'\. Did you mean 'kind'\?"),
        (
            "input_per_mtok",
            "input_per_mtoken",
            r"\[models\.frontier\.price\] has no key 'input_per_mtoken'\. Did you mean 'input_per_mtok'\?",
        ),
        ("max_loss", "maxloss", r"\[tasks\.triage\] has no key 'maxloss'\. Did you mean 'max_loss'\?"),
        ("system_prompt", "sytem_prompt", r"\[\[match\]\] has no key 'sytem_prompt'\. Did you mean 'system_prompt'\?"),
        ("[project]", "folder = 'x'\n[project]", r"the file has no key 'folder'"),
    ],
)
def test_an_unknown_key_names_the_nearest(found: str, written: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=said) as error:
        read(CONTRACT.replace(found, written, 1), tmp_path)
    assert str(error.value).startswith(str(tmp_path / FILE_NAME))


@pytest.mark.parametrize(
    ("found", "written", "said"),
    [
        ("max_loss = 0.02", 'max_loss = "2 %"', "max_loss"),
        ("max_loss = 0.02", "max_loss = 2", "tasks.triage.max_loss is 2"),
        ("max_loss = 0.02", "max_loss = nan", "tasks.triage.max_loss is nan"),
        ('durability = "process"', 'durability = "disk"', "durability"),
        ("keep_days = 90", "keep_days = 0", "keep_days is 0"),
        ("input_per_mtok = 1.25", "input_per_mtok = -1", "input_per_mtok is -1"),
        ("[store]", "[telemetry]\notlp_endpoint = 'collector:4318'\n[store]", "telemetry.otlp_endpoint is 'collector:4318'; expected"),
        ("[store]", "[economics]\nlabel_usd = -1\n[store]", "economics.label_usd is -1"),
        ("[store]", "[economics]\nretrain_months = 0.01\n[store]", "economics.retrain_months is 0.01"),
        ("[store]", "[telemetry]\nlogs = 'jsno'\n[store]", r"telemetry\.logs is 'jsno'\. Did you mean 'json'\?"),
        ('provider = "openai"', 'provider = "opnai"', r"'opnai', which is not under \[providers\]\. Did you mean 'openai'\?"),
        ('task = "triage"', 'task = "triag"', r"\[\[match\]\] maps to task 'triag'.*Did you mean 'triage'\?"),
        ('reference = "frontier"', 'reference = "dear"', "tasks.triage.reference is 'dear', which is not among its variants"),
        ('kind = "binary"', 'kind = "binary"\nrange = [0.0, 5.0]', "metrics.correct is binary"),
        ("[[match]]", "[match]", "match"),
        ('model = "gpt-5"\nsystem_prompt = "You sort support messages*"', "", "the row of task 'triage' has no condition"),
        ('system_prompt = "You sort support messages*"', 'system_hash = "0xab"', "expected 12 to 64 hex digits"),
        ('system_prompt = "You sort support messages*"', 'header = { "x app" = "a" }', "'x app', which is no name of a header"),
        ('system_prompt = "You sort support messages*"', 'header = { Authorization = "a" }', "holds a key. Say key = instead"),
        ('system_prompt = "You sort support messages*"', "tools = 5", r"match\[0\]\.tools is 5"),
        ('name = "support"', "name = ", "is not TOML"),
        ("[store]", "[project]", "is not TOML"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(found: str, written: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=said) as error:
        read(CONTRACT.replace(found, written, 1), tmp_path)
    assert str(error.value).startswith(str(tmp_path / FILE_NAME))


def test_a_table_where_a_value_belongs_is_refused() -> None:
    with pytest.raises(OperatorError, match="store is not a table"):
        parse({"store": "sqlite:///x.db"}, Path())


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"name = '\xff'")
    with pytest.raises(OperatorError, match="is not TOML"):
        load(tmp_path)


def test_a_file_too_large_to_be_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="larger than 4 MiB"):
        read("#" * (4 * 2**20 + 1), tmp_path)


def test_a_folder_without_the_file_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"freehold init"):
        load(tmp_path)
    with pytest.raises(OperatorError, match=r"freehold init \.' there, or say --project DIR"):
        find_project(tmp_path)


def test_the_project_is_the_nearest_folder_above_that_holds_the_file(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / FILE_NAME).touch()
    assert find_project(inner) == tmp_path
    (inner / FILE_NAME).touch()
    assert find_project(inner) == inner


def test_init_writes_a_file_that_parses_and_that_nobody_else_reads(tmp_path: Path) -> None:
    path = init(tmp_path / "new" / "support desk")
    assert load(path.parent).project.name == "support desk"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_init_leaves_a_project_as_it_is(tmp_path: Path) -> None:
    read("[project]\nname = 'mine'", tmp_path)
    with pytest.raises(OperatorError, match="stays as it is"):
        init(tmp_path)
    assert load(tmp_path).project.name == "mine"


def test_init_of_a_folder_with_a_name_that_no_toml_holds(tmp_path: Path) -> None:
    init(tmp_path / 'a"b\\c\nd{e}')
    assert load(tmp_path / 'a"b\\c\nd{e}').project.name == "abcd{e}"


@pytest.mark.skipif(os.geteuid() == 0, reason="as root every folder can be written")
def test_init_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OperatorError, match="cannot be written"):
        init(tmp_path / "new")


def test_the_starter_s_comments_parse_and_show_the_defaults(tmp_path: Path) -> None:
    """Every commented key, uncommented, is accepted; those of [store], [journal] and a task's floor are the defaults."""
    uncommented = re.sub(r"^# (\[|\w+ = )", r"\1", STARTER.format(name="x"), flags=re.MULTILINE)
    config = read(uncommented, tmp_path)
    bare = read("", tmp_path)
    assert (config.store, config.journal) == (bare.store, bare.journal)
    assert {"frontier", "cheap", "head"} == set(config.tasks["triage"].variants)
    assert config.metrics["correct"].range == (0, 1)


MONEY = """
[budget]
month_usd = 500
[teams.search]
budget = { day_usd = 20.0, total_usd = 1_000 }
[plans.basic]
max_loss = 0.05
per_call = 0.002
[plans.excellent]
reference_only = true
markup = 0.2
[gateway]
unpriced = "assume"
assumed_price = { input_per_mtok = 5, output_per_mtok = 25 }
"""


def test_budgets_teams_and_plans_are_read(tmp_path: Path) -> None:
    config = read(MONEY, tmp_path)
    assert config.budget == Budget(month_usd=500)
    assert config.teams["search"].budget == Budget(day_usd=20, total_usd=1_000)
    assert config.plans == {"basic": Plan(max_loss=0.05, per_call=0.002), "excellent": Plan(reference_only=True, markup=0.2)}
    assert config.gateway.assumed_price == Rates(input_per_mtok=5, output_per_mtok=25)


@pytest.mark.parametrize(
    ("found", "written", "said"),
    [
        ("month_usd = 500", "month_usd = -1", r"budget\.month_usd is -1\.0; a budget is a number of USD from 0 to 1,000,000,000"),
        ("month_usd", "mont_usd", r"\[budget\] has no key 'mont_usd'\. Did you mean 'month_usd'\?"),
        ("markup = 0.2", "markup = 0.2\nper_call = 1", "a plan has both a markup and prices of its own"),
        ("max_loss = 0.05", "max_loss = 0.05\nreference_only = true", "a plan has both max_loss and reference_only"),
        ("max_loss = 0.05", "max_loss = 5", "a plan's max_loss is 5.0; it lies between 0 and 1"),
        ("markup = 0.2", "markup = -0.2", "a plan's markup is -0.2; it is a number from 0 up"),
        ('unpriced = "assume"', 'unpriced = "refuse"', r"gateway\.assumed_price belong together"),
        ("assumed_price", "# assumed_price", r"gateway\.assumed_price belong together"),
    ],
)
def test_a_wrong_word_about_money_is_said(found: str, written: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=said):
        read(MONEY.replace(found, written, 1), tmp_path)


def test_a_program_s_word_about_a_task_counts_where_the_file_says_nothing(tmp_path: Path) -> None:
    """Key by key, so that a table which `freehold calls name` wrote takes nothing away."""
    config = read(
        '[project]\npython = ["desk.py", "app.desk"]\n[models.cheap]\n[tasks.triage]\nmax_loss = 0.05\nreference = "cheap"', tmp_path
    )
    assert config.project.python == ("desk.py", "app.desk")
    declared = TaskTable(reference="frontier", variants=("frontier", "cheap"), max_loss=0.1, instruction="Sort.")
    both = with_declared(config, {"triage": declared, "reply": declared}).tasks
    assert both["triage"] == TaskTable(reference="cheap", variants=("frontier", "cheap"), max_loss=0.05, instruction="Sort.")
    assert both["reply"] == declared


def test_a_reward_is_of_the_task_s_metric_where_it_names_none() -> None:
    config = parse({"tasks": {"triage": {"metric": "correct", "reward": {"trust": {"judge": 0.2}}}}}, Path())
    rule = config.catalog().tasks["triage"].reward
    assert rule is not None and (rule.metrics, rule.trust, rule.at_most) == ({"correct": 1.0}, {"judge": 0.2}, {"user": 0.25})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"tasks": {"t": {"reward": {}}}}, "tasks.t.reward names no metrics, and the task has none"),
        ({"tasks": {"t": {"reward": {"trsut": {}}}}}, "[tasks.t.reward] has no key 'trsut'. Did you mean 'trust'?"),
        ({"tasks": {"t": {"reward": {"first": ["persn"]}}}}, "reward.first names the source 'persn'. Did you mean 'person'?"),
        ({"feedback": {"origins": ["https://a.example/"], "public": True}}, "feedback.origins has 'https://a.example/'"),
        ({"feedback": {"origins": ["https://a.example"]}}, "set feedback.public = true, or leave them out"),
        ({"feedback": {"secret_env": "a secret!"}}, "feedback.secret_env is no name of an environment variable"),
        ({"feedback": {"most_early": 0}}, "feedback.most_early is 0; it is a number from 1 up"),
    ],
)
def test_what_feedback_is_told_is_checked(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError) as raised:
        parse(raw, Path())
    assert message in str(raised.value)
