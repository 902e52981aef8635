"""Reads policy programs: recursive descent over the tokens, one look ahead; each method is a line of docs/policy-language.md's grammar.

Only the form is checked here: whether the names exist and the types agree is `check.py`'s business, which knows the task.
"""

from freehold.errors import PolicyError, nearest
from freehold.routing.syntax import (
    COMPARATORS,
    SCORE_FIELDS,
    Action,
    And,
    Comparator,
    Compare,
    Condition,
    Constant,
    Contains,
    Fact,
    In,
    Not,
    Operand,
    Or,
    Program,
    Rule,
    Score,
    Tag,
    Try,
    Use,
    UseCheapest,
    Value,
    is_fact_name,
    score_of,
)
from freehold.routing.tokens import Place, Token, clipped

MAX_RULES = 1000
MAX_DEPTH = 32
"""How deep parentheses, `not` and `try` may nest, together."""

_MIRRORED: dict[Comparator, Comparator] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Reader:
    """A walk along `tokens`, which end in an `end`."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def program(self) -> Program:
        self._expect("task", "the task's name")
        place = self._at.place
        task = self._name("the task's name")
        rules: list[Rule] = []
        while self._at.kind != "end":
            if len(rules) == MAX_RULES:
                raise PolicyError(f"the program has more than {MAX_RULES} rules; a policy has to stay readable.", *self._at.place)
            rules.append(self._rule())
        return Program(task, tuple(rules), (place,))

    def condition(self) -> Condition:
        """A condition that stands alone, as of `when`."""
        found = self._condition("a condition")
        if self._at.kind != "end":
            raise self._wrong("the end of the condition", "and", "or")
        return found

    def _rule(self) -> Rule:
        line = self._at.place.line
        if self._has("otherwise"):
            return Rule(None, self._action("use", "try"), line)
        if self._has("when"):
            condition = self._condition("a condition")
            return Rule(condition, self._action("use", "try", "and", "or"), line)
        raise self._wrong("a rule", "when", "otherwise")

    def _action(self, *valid: str) -> Action:
        if self._has("use"):
            return self._choice()
        if self._has("try"):
            return self._try()
        raise self._wrong("an action", *valid)

    def _choice(self) -> Action:
        if not self._has("cheapest"):
            place = self._at.place
            return Use(self._name("a variant or 'cheapest of'"), (place,))
        self._expect("of", "the candidates")
        places: list[Place] = []
        variants: list[str] = []
        while not variants or self._has(","):
            places.append(self._at.place)
            variants.append(self._name("a candidate's name"))
        if self._at.kind in ("word", "text"):
            raise self._wrong("more candidates, their condition or the next rule", ",", "where", "when", "otherwise")
        where = self._condition("a condition on the candidate") if self._has("where") else None
        return UseCheapest(tuple(variants), where, tuple(places))

    def _try(self) -> Action:
        self._deeper()
        place = self._at.place
        variant = self._name("the variant to try")
        self._expect("accept", "what a good answer satisfies")
        accept = self._condition("a condition on the answer")
        self._expect("then", "what follows a refused answer", "then", "and", "or")
        then = self._tail()
        self._depth -= 1
        return Try(variant, accept, then, (place,))

    def _tail(self) -> Action:
        if self._at.kind == "keyword":
            return self._action("use", "try")
        place = self._at.place
        return Use(self._name("a variant, 'try …' or 'use cheapest of …'"), (place,))

    def _condition(self, what: str) -> Condition:
        parts = [self._conjunction(what)]
        while self._has("or"):
            parts.append(self._conjunction(what))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _conjunction(self, what: str) -> Condition:
        parts = [self._negation(what)]
        while self._has("and"):
            parts.append(self._negation(what))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self, what: str) -> Condition:
        if self._has("not"):
            self._deeper()
            part = Not(self._negation(what))
            self._depth -= 1
            return part
        if self._has("("):
            self._deeper()
            inner = self._condition(what)
            self._expect(")", "the end of the parenthesis", ")", "and", "or")
            self._depth -= 1
            return inner
        return self._comparison(what)

    def _comparison(self, what: str) -> Condition:
        start = self._at
        left = self._operand(what)
        if not isinstance(left, Operand):
            return self._mirrored(left, start)
        if self._has("in"):
            return self._in(left, start.place)
        if self._has("contains"):
            if self._at.kind != "text":
                raise self._wrong("a string in double quotes")
            token = self._take()
            return Contains(left, token.text, (start.place, token.place))
        op = self._comparator()
        if op is None:
            # A name alone says that it is true; `check` refuses it where it is no yes or no.
            return Compare(left, "==", True, (start.place, start.place))
        place = self._at.place
        return Compare(left, op, self._operand("a name, a number, a string, true or false"), (start.place, place))

    def _mirrored(self, value: Value, start: Token) -> Condition:
        """`400 > chars` is `chars < 400`; a truth value may also stand alone."""
        op = self._comparator()
        if op is None:
            if isinstance(value, bool):
                return Constant(value)
            raise self._wrong(f"a comparison after {start.shown()}", *COMPARATORS)
        place = self._at.place
        name = self._operand("a name to compare with")
        if not isinstance(name, Operand):
            raise PolicyError(f"{start.shown()} is compared with another constant; one side has to be a name.", *start.place)
        return Compare(name, _MIRRORED[op], value, (place, start.place))

    def _in(self, left: Operand, place: Place) -> Condition:
        self._expect("(", "the values in parentheses")
        places = [place]
        values: list[float | str] = []
        kinds = {"text": "a string in double quotes", "number": "a number"}
        while not values or self._has(","):
            token = self._at
            if token.kind not in kinds:
                raise self._wrong(" or ".join(kinds.values()))
            values.append(_number(token) if token.kind == "number" else token.text)
            places.append(self._take().place)
            kinds = {token.kind: kinds[token.kind]}
        self._expect(")", "the end of the list", ")", ",")
        return In(left, tuple(values), tuple(places))

    def _operand(self, what: str) -> Operand | Value:
        token = self._at
        if token.kind in ("sign", "end") or (token.kind == "keyword" and token.text not in ("task", "true", "false")):
            raise self._wrong(what)
        self._next += 1
        if token.kind == "number":
            return _number(token)
        if token.kind == "text":
            return self._score(token) if self._at.touches and self._at.text.startswith(".") else token.text
        if token.kind == "keyword":
            return Fact("task") if token.text == "task" else token.text == "true"
        return self._named(token)

    def _named(self, token: Token) -> Operand:
        head, dot, key = token.text.partition(".")
        if head == "tag" and dot:
            if key:
                return Tag(key)
            if self._at.kind == "text" and self._at.touches:
                return Tag(self._take().text)
            raise self._wrong('a tag\'s name right behind the dot, as in tag.tier or tag."a b"')
        if score := score_of(token.text):
            return score
        if is_fact_name(token.text):
            return Fact(token.text)
        hint = nearest(token.text.rpartition(".")[2][:60], SCORE_FIELDS)
        raise PolicyError(f"{token.shown()} is no name; behind a variant and a dot stands one of its scores.{hint}", *token.place)

    def _score(self, variant: Token) -> Operand:
        for name in SCORE_FIELDS:
            if self._at.text == f".{name}":
                self._next += 1
                return Score(variant.text, name)
        raise self._wrong(f"one of the scores of {variant.shown()}", *(f".{name}" for name in SCORE_FIELDS))

    def _name(self, what: str) -> str:
        token = self._at
        if token.kind in ("number", "keyword"):
            raise PolicyError(f"found {token.shown()}, expected {what}; a name that reads like this is put in double quotes.", *token.place)
        if token.kind not in ("word", "text"):
            raise self._wrong(what)
        return self._take().text

    def _comparator(self) -> Comparator | None:
        for op in COMPARATORS:
            if self._has(op):
                return op
        return None

    @property
    def _at(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _has(self, text: str) -> bool:
        """Steps over `text` if it comes next."""
        if self._at.text != text or self._at.kind not in ("keyword", "sign"):
            return False
        self._next += 1
        return True

    def _expect(self, text: str, what: str, *valid: str) -> None:
        if not self._has(text):
            raise self._wrong(f"'{text}' and {what}" if text.isalpha() else what, *(valid or (text,)))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PolicyError(f"more than {MAX_DEPTH} levels of parentheses, 'not' and 'try'; write it as several rules.", *self._at.place)

    def _wrong(self, what: str, *valid: str) -> PolicyError:
        found = self._at
        return PolicyError(f"found {found.shown()}, expected {what}.{nearest(clipped(found.text), valid)}", *found.place)


def _number(token: Token) -> float:
    return float(token.text) + 0.0  # -0 is 0
