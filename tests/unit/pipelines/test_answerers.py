"""Policies against the catalog, and metrics against outputs: everybody whom a task names is there and can be asked, as the file and the program
say together."""

from datetime import UTC, datetime

import pytest
from programs import Home, new_home  # noqa: F401 a fixture

from freehold.context.prompts import keep, move
from freehold.promotion import records

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def task(options: str, body: str = "", output: str = "bool") -> str:
    """A program with one task."""
    return f'@freehold.task({options})\ndef asked(message: str) -> {output}:\n    """Ask."""\n{body}'


def said(home: Home, options: str, more: str = "", **kwargs: str) -> list[str]:
    """What is found in a program with one task and a configuration."""
    home.configure(more)
    home.write("desk.py", task(options, **kwargs))
    return home.said("desk.py")


@pytest.mark.parametrize(
    "options",
    [
        'reference="frontier", variants=["cheap", "head", "cache", "up/gpt-5"], metric="correct"',
        'reference="frontier", variants=[freehold.vote(3, freehold.think("cheap")), freehold.guard("cheap", before=bool)]',
        'reference=freehold.verify("frontier", "cheap"), metric="agreement"',
        'reference="frontier", variants=[freehold.ask("cheap", sampling=freehold.Sampling(temperature=0.5))]',
        'reference="slow", variants=["pool", "table"]',
    ],
)
def test_whoever_can_be_asked_is_passed(home: Home, options: str) -> None:
    """Models with a provider, pools, rules, heads, the cache, variants of the file, and what the program declares."""
    more = '[variants.slow]\nmodel = "frontier"\n[models.pool.serving]\nfallbacks = ["cheap"]\n[models.table]\nrules = "rules.csv"\n'
    assert said(home, options, more) == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("", "error 1: task 'asked' has no reference and no active policy: nobody answers it"),
        (
            'reference="frontir"',
            "error 1: the reference of task 'asked' is 'frontir': there is no model 'frontir' in freehold.toml. Did you mean",
        ),
        (
            'reference="old"',
            "error 1: the reference of task 'asked' is 'old': model 'old' has no provider: it is known from recordings only",
        ),
        ('reference="cheap", variants=["old"]', "warning 1: a variant of task 'asked' is 'old': model 'old' has no provider"),
        ('reference="cheap", variants=["dear"]', "error 1: a variant of task 'asked' is 'dear': there is no model 'dear'"),
        ('reference="cheap", variants=["down/gpt-5"]', "error 1: a variant of task 'asked' is 'down/gpt-5': there is no model"),
        (
            'reference="cheap", variants=[freehold.vote(3, freehold.verify("dear", "cheap"))]',
            "error 1: a variant of task 'asked' is 'cheap-verified-vote3': there is no model 'dear' in freehold.toml",
        ),
        (
            'reference=freehold.vote(3, freehold.verify(bool, "a", name="b"), name="a")',
            "error 1: the reference of task 'asked' is 'a': variants ask each other in a circle: a -> b -> a",
        ),
        (
            'reference=freehold.ask("cheap", prompt="candidate")',
            "error 1: variant 'cheap-prompt-candidate': 'candidate' names no prompt of task 'asked'",
        ),
        (
            'reference=freehold.ask("cheap", examples=3, name="frontier")',
            "warning 1: variant 'frontier' has the name of a model: that is asked, as it stands in the file",
        ),
        (
            'reference="cheap", metric="corect"',
            "warning 1: metric 'corect' of task 'asked' is not declared, and so taken as bounded in [0, 1]. Did",
        ),
    ],
)
def test_whoever_cannot_be_asked_is_named(home: Home, options: str, found: str) -> None:
    told = said(home, options)
    assert len(told) == 1 and told[0].startswith(found)


def test_a_task_with_an_answer_of_its_own_is_warned_of_what_it_leaves_to_nobody(home: Home) -> None:
    [found] = said(home, "", body="    return freehold.Pass\n")
    assert found == "warning 1: task 'asked' has no reference and no active policy: where its own answer is Pass, nobody answers"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ("", "    return len(message) > 3\n"),
        ('rules="all.csv"', ""),
        ('variants=["rules"]', "    return bool(message)\n"),
    ],
)
def test_a_task_that_always_answers_itself_leaves_nothing_to_anybody(home: Home, options: str, body: str) -> None:
    """A body that says `Pass` nowhere, and a table with a row that fits everything."""
    (home.folder / "all.csv").write_text("when,answer\n*card*,true\n,false\n")
    assert said(home, options, body=body) == []


def test_a_table_that_has_no_row_for_everything_may_leave_something(home: Home) -> None:
    (home.folder / "some.csv").write_text("when,answer\n*card*,true\n")
    [found] = said(home, 'rules="some.csv"')
    assert found.endswith("where its own answer is Pass, nobody answers")


@pytest.mark.parametrize(
    ("options", "is_told"),
    [
        ('reference="cheap"', True),
        ('variants=["cheap"], reference="frontier"', True),
        ('reference="cheap", instruction="Say whether it is urgent."', False),
        ('reference="cheap", prompt="Is it urgent? {{ message }}"', False),
    ],
)
def test_a_task_that_says_nowhere_what_it_wants_is_told_so(home: Home, options: str, is_told: bool) -> None:
    home.write("desk.py", f"@freehold.task({options})\ndef asked(message: str) -> bool: ...\n")
    assert [found.partition(":")[0] for found in home.said("desk.py")] == ["warning 1"] * is_told
    assert not is_told or "has no docstring and no instruction" in home.said("desk.py")[0]


def test_what_the_file_says_it_wants_will_do(home: Home) -> None:
    home.configure('[tasks.asked]\ninstruction = "Say whether it is urgent."\n')
    home.write("desk.py", '@freehold.task(reference="cheap")\ndef asked(message: str) -> bool: ...\n')
    assert home.said("desk.py") == []


@pytest.mark.parametrize("options", ['reference="dear"', 'reference="keyed/gpt-5"', 'reference=freehold.vote(3, "pool")'])
def test_a_key_that_is_not_set_is_told_where_it_is_needed(home: Home, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    """Once for each provider, whoever asks it, also as a fallback; a task that asks somebody else needs none."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    more = (
        '[providers.keyed]\nkind = "openai"\nkey_env = "NO_SUCH_KEY"\n[models.dear]\nprovider = "keyed"\n'
        '[models.pool.serving]\nfallbacks = ["cheap", "dear"]\n'
    )
    [found] = said(home, options, more)
    assert found == (
        "warning freehold.toml:14: providers.keyed: the environment variable NO_SUCH_KEY is not set. It holds the key of 'keyed'. "
        "Asked by task asked"
    )
    home.forget()
    assert said(home, 'reference="cheap"', more) == []
    home.forget()
    monkeypatch.setenv("NO_SUCH_KEY", "sk-1")
    assert said(home, options, more) == []


def test_a_label_that_names_a_prompt_is_there(home: Home) -> None:
    home.configure("")
    with home.project() as project:
        hash = keep(project.store, project.tenant, "asked", "Say of {{ message }}.", NOW)
        move(project.store, project.tenant, "asked", "candidate", hash, NOW)
    for name in ("candidate", hash, hash[:8]):
        assert said(home, f'reference=freehold.ask("cheap", prompt="{name}")') == []
        home.forget()


def test_a_labelled_prompt_is_checked_as_the_programs_own_is(home: Home) -> None:
    with home.project() as project:
        hash = keep(project.store, project.tenant, "triage", "Sort {{ mesage }} of {{ tier }}.", NOW)
        move(project.store, project.tenant, "triage", "candidate", hash, NOW)
        keep(project.store, project.tenant, "triage", "Nobody asks {{ this }}.", NOW)
    home.write("desk.py", "")
    [found] = home.said("desk.py")
    assert found.startswith(
        f"error prompt {hash} (candidate) of task 'triage': line 1 of the prompt says 'mesage', which the task does not have"
    )


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("str", "free text"),
        ("float | None", "numbers with a fraction"),
        ("list[str]", "free text"),
        ("Triage", None),
        ('Literal["a", "b"]', None),
        ("list[bool]", None),
    ],
)
def test_agreement_suits_outputs_of_few_values(home: Home, output: str, what: str | None) -> None:
    found = said(home, 'reference="cheap", metric="agreement"', output=output)
    assert len(found) == (what is not None)
    assert what is None or f"holds {what}: two good answers are rarely the same" in found[0]


def test_where_the_file_and_the_program_differ_the_file_counts_and_is_named(home: Home) -> None:
    """Key by key: what the file does not say is as the program says."""
    more = '[tasks.asked]\nreference = "cheap"\nmax_loss = 0.1\nvariants = ["cheap", "frontier"]\nmetric = "correct"\n'
    options = 'reference="frontier", variants=["cheap", "frontier"], max_loss=0.05, metric="correct"'
    first = more.splitlines()
    found = said(home, options, more)
    lines = (home.folder / "freehold.toml").read_text().splitlines()
    places = [lines.index(line) + 1 for line in (first[1], first[2])]
    assert [one.partition(" at ")[0] for one in found] == [
        f"warning freehold.toml:{places[0]}: task 'asked' has reference 'cheap' here and 'frontier'",
        f"warning freehold.toml:{places[1]}: task 'asked' has max_loss 0.1 here and 0.05",
    ]


def test_variants_of_one_name_that_differ_are_found(home: Home) -> None:
    home.configure('[variants.slow]\nmodel = "frontier"\nexamples = 2\n')
    text = """
    @freehold.task(reference=freehold.verify(bool, "cheap"))
    def one(message: str) -> bool: "One."

    @freehold.task(reference=freehold.verify(bool, "cheap", most=3))
    def two(message: str) -> bool: "Two."

    @freehold.task(reference=freehold.ask("cheap", name="slow"))
    def three(message: str) -> bool: "Three."
    """
    home.write("desk.py", text)
    assert [one.partition(" at ")[0] for one in home.said("desk.py")] == [
        "error 4: tasks 'one' and 'two' each declare a variant 'cheap-verified', and the two differ",
        "warning freehold.toml:12: variant 'slow' is another one here than",
    ]


def test_tasks_that_only_the_file_has_are_checked_as_well(home: Home) -> None:
    home.configure('[tasks.sort]\n[tasks.shout]\nreference = "old"\n[tasks.say]\nreference = "missing"\n')
    assert [one.rpartition(". Known")[0] or one for one in home.said()] == [
        "error freehold.toml:16: the reference of task 'say' is 'missing': there is no model 'missing' in freehold.toml",
        "warning freehold.toml:12: task 'sort' has no reference and no active policy: calls of it are refused",
        "warning freehold.toml:14: the reference of task 'shout' is 'old': model 'old' has no provider: it is known from recordings only",
        "note freehold.toml: no program is named, so prompts and pipelines were not looked at",
    ]


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ("when chars > 10 use frontier\notherwise use cheap", None),
        ("otherwise try cheap-verified accept verified then frontier", None),
        (
            "when chars > 10 use dear\notherwise use cheap",
            "line 2: task 'asked' has no variant 'dear'. Known: cheap, cheap-verified, frontier, old.",
        ),
        (
            "when chars > 10 use cheapest of old, frontier\notherwise use cheap",
            "line 2: it asks 'old': model 'old' has no provider: it is known from",
        ),
        ("when chars > 10 use cheap", "line 2: the last rule has to be an 'otherwise', so that every call is answered."),
        ("when lenght > 10 use cheap\notherwise use cheap", "line 2: 'when' knows no 'lenght'."),
    ],
)
def test_a_policy_that_is_served_asks_whoever_can_be_asked(home: Home, rules: str, what: str | None) -> None:
    options = 'reference="frontier", variants=["cheap", "old", freehold.verify(bool, "cheap")]'
    source = f"task asked\n{rules}\n"
    with home.project() as project:
        records.add_policy(project.store, project.tenant, "asked", "a" * 64, source, None, None, "person", NOW)
        records.add_event(project.store, project.tenant, "asked", "a" * 64, "activate", "ann", NOW)
    found = [one for one in said(home, options) if "a variant of task" not in one]
    assert len(found) == (what is not None)
    assert what is None or found[0].startswith(f"error policy {'a' * 12} of task 'asked': {what}")


def test_a_policy_in_the_projects_folder_is_a_warning_with_its_line(home: Home) -> None:
    """It is not served yet, or no longer."""
    (home.folder / "policies").mkdir()
    (home.folder / "policies" / "mine.policy").write_text("task triage\nwhen chars > 10 use dear\notherwise use frontier\n")
    (home.folder / "policies" / "other.policy").write_text("task traige\notherwise use frontier\n")
    home.write("desk.py", "")
    assert [one.partition(" It is")[0].partition(" Known")[0] for one in home.said("desk.py")] == [
        "warning mine.policy:2: task 'triage' has no variant 'dear'.",
        "warning other.policy:1: there is no task 'traige'. Did you mean 'triage'?",
    ]


def test_a_part_of_a_program_is_checked_alone(home: Home) -> None:
    """With what it calls, and without the rest of the file and of the configuration."""
    home.configure("[tasks.sort]\n")
    text = """
    @freehold.task(reference="dear")
    def asked(message: str) -> bool: "Ask."

    @freehold.pipeline
    def desk(message: str) -> bool:
        return asked(message)

    @freehold.pipeline
    def other(message: str) -> object:
        return triage()
    """
    home.write("desk.py", text)
    assert [one.partition(" is ")[0] for one in home.said("desk.py:desk")] == ["error 1: the reference of task 'asked'"]
    assert [one.partition(":")[0] for one in home.said("desk.py:triage")] == []
