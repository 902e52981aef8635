"""A pipeline's text is followed from step to step: what it calls, with what, whether it awaits, and what it does with the answers."""

from textwrap import indent

import pytest
from programs import Home


def wrong(home: Home, body: str, head: str = "async def desk(message: str, n: int = 1) -> Triage:") -> list[str]:
    """What is found in the body of a pipeline, by the line of the body."""
    path = home.write("desk.py", f"@freehold.pipeline\n{head}\n" + indent(body, "    ") + "\n")
    top = path.read_text().splitlines().index("@freehold.pipeline") + 2
    return [f"{one.level} {int(one.where.rpartition(':')[2]) - top}: {one.what}" for one in home.check("desk.py")]


RIGHT = """
a = await triage.acall(message, tier="gold")
b, c = await asyncio.gather(triage.acall(message), triage.acall(*[message], **{}))
later = triage.acall(a.queue)
d = (await later).urgent
async for partial in triage.stream(message):
    partial.queue
for each in await triage.amap([message], at_once=2):
    each.urgent.bit_length()
e = await asyncio.to_thread(triage, message)
e.anything
g = (await triage.aanswer(message)).value.queue.upper()
f = lambda text: triage(text)
message.upper()
if isinstance(a, dict):
    a.keys()
n = 2
n.anything
return a
"""


def test_a_pipeline_that_is_right_is_passed(home: Home) -> None:
    """Also where a name is bound twice, or its value is looked at: then nothing certain is known of it."""
    assert wrong(home, RIGHT.strip()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("triage.acall(message)", "'triage.acall' is called and never awaited, so that nobody is asked"),
        ("triage.stream(message)", "nothing goes over 'triage.stream', so that nobody is asked"),
        ("await triage.stream(message)", "'triage.stream' cannot be awaited: its pieces come one by one"),
        ("for p in triage.stream(message): pass", "the pieces of a stream are gone over without being awaited"),
        ("(await triage.acall(message)).queu", "Triage has no 'queu'. Did you mean 'queue'?"),
        ("[p.nope async for p in triage.stream(message)]", "Triage has no 'nope'."),
        ("[t.nope for t in await triage.amap([message])]", "Triage has no 'nope'."),
        ("(await triage.aanswer(message)).valu", "freehold.pipelines.task.Answer[desk.Triage] has no 'valu'. Did you mean 'value'?"),
        ("(await triage.aanswer(message)).value.queue.uper()", "has no 'uper'. Did you mean 'upper'?"),
        ("triage.acall(message).queue", "'queue' is asked of an answer that was not awaited"),
        ("triage.ask(message)", "task 'triage' has no 'ask'."),
        ("message.nope", "str has no 'nope'."),
        ("await triage.acall()", "'triage.acall' is called with other arguments than it has: missing a required argument: 'message'"),
        ("await triage.acall(message, 'gold', 3)", "'triage.acall' is called with other arguments than it has: too many positional"),
        (
            "await triage.acall(message, teir='gold')",
            "'triage.acall' is called with other arguments than it has: got an unexpected keyword",
        ),
        ("await triage.acall(3)", "'triage' is given 3 as 'message': Input should be a valid string; got 3"),
        ("await triage.acall(await triage.acall(message))", "'triage.acall' is given a value of type Triage as 'message'"),
        ("await triage.acall(triage.acall(message))", "'triage.acall' is given an answer that was not awaited as 'message'"),
        ("await triage.amap([message], most=3)", "'triage.amap' is called with other arguments than it has"),
        ("await desk(n)", "'desk' is given a value of type int as 'message'"),
        ("desk(message)", "'desk' is called and never awaited, so that nobody is asked"),
    ],
)
def test_what_cannot_work_is_an_error_with_its_line(home: Home, line: str, said: str) -> None:
    [found] = wrong(home, f"if n:\n    {line}\nreturn await triage.acall(message)")
    assert found.startswith("error 2: ") and said in found


def test_a_name_that_is_bound_once_is_of_the_type_of_its_value(home: Home) -> None:
    body = "t = await triage.acall(message)\nif (u := t).urgent:\n    t.nope\n    u.nope\nreturn t"
    assert [one.partition(".")[0] for one in wrong(home, body)] == ["error 3: Triage has no 'nope'", "error 4: Triage has no 'nope'"]


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("triage(message)", "await triage.acall(…)"),
        ("triage.answer(message)", "await triage.aanswer(…)"),
        ("triage.map([message])", "await triage.amap(…)"),
    ],
)
def test_a_call_that_holds_up_the_event_loop_is_a_warning(home: Home, call: str, instead: str) -> None:
    home.write("desk.py", f"@freehold.pipeline\nasync def desk(message: str) -> object:\n    return {call}\n")
    [found] = home.check("desk.py")
    assert (found.level, found.remedy) == ("warning", instead)
    assert found.what == f"'{call.partition('(')[0]}' holds up the whole event loop until its answer is there"


def test_a_plain_pipeline_may_wait(home: Home) -> None:
    assert wrong(home, "return triage(message)", head="def desk(message: str) -> Triage:") == []


def test_an_answer_that_is_there_at_once_cannot_be_awaited(home: Home) -> None:
    assert [one.partition(": ")[2] for one in wrong(home, "return await triage(message)")] == [
        "'triage' gives its answer at once, which cannot be awaited",
        "'triage' holds up the whole event loop until its answer is there",
    ]


def test_functions_of_the_programs_own_and_bodies_of_tasks_are_followed_as_well(home: Home) -> None:
    """Wherever they stand: in a file that is imported, or around the pipeline."""
    home.write("parts.py", "from desk import triage\n\ndef sorted_out(text: str) -> str:\n    return triage(text, 3, 4)\n", head="")
    text = '''
    @freehold.task(reference="frontier")
    def own(text: str) -> str:
        """Own."""
        return triage(text).nope

    def around() -> object:
        inner = triage
        @freehold.pipeline
        def desk(message: str) -> str:
            import parts
            return helper(message) + inner(message).nope
        return desk

    def helper(text: str) -> str:
        from parts import sorted_out
        return triage().queue

    desk = around()
    import parts
    helped = parts.sorted_out
    @freehold.pipeline
    def other(message: str) -> str:
        return parts.sorted_out(message)
    '''
    home.write("desk.py", text)
    found = [
        (one.where.rpartition("/")[2].partition(":")[0], one.what.partition(":")[0].partition(".")[0]) for one in home.check("desk.py")
    ]
    assert sorted(found) == [
        ("desk.py", "'triage' is called with other arguments than it has"),
        ("desk.py", "Triage has no 'nope'"),
        ("desk.py", "Triage has no 'nope'"),
        ("parts.py", "'triage' is called with other arguments than it has"),
    ]


CIRCLE = """
@freehold.pipeline
def first(x: str) -> str:
    if not x:
        print("empty")
    with freehold.scope(deadline_s=1):
        return second(x)

def second(x: str) -> str:
    y = x and third(x)
    return third(x)

@freehold.pipeline
def third(x: str) -> str:
    return first(x[1:])
"""


def test_pipelines_that_call_each_other_whatever_they_are_given_are_an_error(home: Home) -> None:
    home.write("desk.py", CIRCLE)
    assert home.said("desk.py") == ["error 2: pipelines call each other without end: first -> second -> third -> first"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return first(x[1:])", "return first(x[1:]) if x else x"),
        ("return first(x[1:])", "if not x:\n        return x\n    return first(x[1:])"),
        ("return first(x[1:])", "try:\n        return first(x[1:])\n    except ValueError:\n        return x"),
        ("return first(x[1:])", "return x and first(x)"),
        ("return first(x[1:])", "return [first(y) for y in x][0]"),
        ("return third(x)", "return (lambda: third(x))()"),
    ],
)
def test_a_circle_that_has_a_way_out_is_none(home: Home, before: str, after: str) -> None:
    home.write("desk.py", CIRCLE.replace(before, after))
    assert home.said("desk.py") == []


def test_a_function_whose_text_is_not_there_is_noted(home: Home) -> None:
    home.write("desk.py", "exec('@freehold.pipeline\\ndef unseen(x: str) -> str:\\n    return x')\n")
    assert home.said("desk.py") == ["note <string>:1: the text of 'unseen' is not there to be looked at"]
