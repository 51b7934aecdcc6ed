"""The conditions of alarms: a quantity, a comparison, a number. Nothing is evaluated as code.

::

    condition   = quantity comparison number ["per" duration]
    quantity    = name | "age(" name ")" | "rate(" name ")" | "abs(" name | "rate(" name ")" ")"
    comparison  = ">" | ">=" | "<" | "<=" | "==" | "!="

A name with blanks or one of ``<>=!(),`` in it stands in quotes. The number of an age is a duration
(``2min``), that of a rate is per second, or ``per`` another time.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from pymanip_run.errors import did_you_mean
from pymanip_run.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Condition", "ConditionError", "parse_condition"]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
#: The methods of the limit that compare it with a value, seen from the other side.
_REFLECTED = {
    ">": "__lt__", ">=": "__le__", "<": "__gt__", "<=": "__ge__", "==": "__eq__", "!=": "__ne__",
}  # fmt: skip
#: What people write who mean one of them.
_MEANT = {
    "=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "≥": ">=", "≤": "<=", "≠": "!=", "!": "!=",
    "===": "==",
}  # fmt: skip
_FUNCTIONS = ("age", "rate", "abs")
_JOINING = ("and", "or", "not", "&&", "||", "&", "|")
_EXAMPLE = "write for example  T > 60"
_MAX_LENGTH = 1000

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<comparison>[<>=!≤≥≠]+)|(?P<mark>[(),])|(?P<word>[^\s<>=!≤≥≠(),"']+))"""
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class ConditionError(ValueError):
    """A text is no condition; `column` is where in it, from 0."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True)
class Condition:
    """A condition on one variable.

    Parameters
    ----------
    variable
        The logged variable.
    quantity
        What of it is compared: its last ``"value"``, the ``"age"`` of that in seconds, or the
        ``"rate"`` of its change per second.
    magnitude
        Whether the sign is left out.
    comparison
        One of ``> >= < <= == !=``.
    limit
        What it is compared with, in the unit of the quantity.
    text
        As it was written.
    per
        The seconds after ``per``: the rate is that of the change within this time.
    """

    variable: str
    quantity: Literal["value", "age", "rate"]
    magnitude: bool
    comparison: str
    limit: float
    text: str
    per: float = 1.0

    def holds(self, value: float) -> bool:
        """Tell whether the condition is true of a value of its quantity; of NaN it never is."""
        if math.isnan(value):
            return False
        return _COMPARE[self.comparison](abs(value) if self.magnitude else value, self.limit)

    def compiled(self) -> Callable[[float], bool]:
        """Return what tells the same as :meth:`holds`, quickly; not of NaN."""
        test: Callable[[float], bool] = getattr(float(self.limit), _REFLECTED[self.comparison])
        return (lambda value: test(abs(value))) if self.magnitude else test

    def excludes(self, other: Condition) -> bool:
        """Tell whether no value can make both conditions true; never of another quantity."""
        if self._subject != other._subject:
            return False
        limits = {self.limit, other.limit}
        candidates = {
            *limits,
            *(math.nextafter(x, s) for x in limits for s in (-math.inf, math.inf)),
        }
        if self.magnitude or self.quantity == "age":
            candidates = {x for x in candidates if x >= 0}
        return not any(self.holds(x) and other.holds(x) for x in candidates)

    @property
    def _subject(self) -> tuple[str, str, bool]:
        return self.variable, self.quantity, self.magnitude

    def __str__(self) -> str:
        return self.text


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parse_condition(text: str) -> Condition:
    """Return the condition that a text states.

    Parameters
    ----------
    text
        For example ``T > 60``, ``age(T) > 2min`` or ``abs(rate(T)) > 2 per 1min``.

    Raises
    ------
    ConditionError
        If it states none, with the place in the text.
    """
    if len(text) > _MAX_LENGTH:
        raise ConditionError("too long for a condition", 0)
    return _Parser(text).condition()


class _Parser:
    """Reads a condition from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def condition(self) -> Condition:
        """Return the condition."""
        if self._peek().kind == "end":
            self._fail(f"a condition is missing; {_EXAMPLE}", self._peek())
        quantity, magnitude, variable = self._quantity()
        comparison = self._comparison(variable)
        limit, per = self._age() if quantity == "age" else self._number(), 1.0
        if self._peek().text == "per":
            place = self._peek()
            per = self._per(quantity)
            limit /= per
            if math.isinf(limit):
                self._fail("this rate is too large", place)
        self._end()
        text = self._text.strip()
        return Condition(variable, quantity, magnitude, comparison, limit, text, per)

    # -- quantities -------------------------------------------------------------------------------

    def _quantity(self) -> tuple[Literal["value", "age", "rate"], bool, str]:
        if not self._is_call():
            return "value", False, self._name()
        function = self._function(_FUNCTIONS)
        if function == "age":
            return "age", False, self._argument()
        if function == "rate":
            return "rate", False, self._argument()
        self._open()
        if self._is_call():
            self._function(("rate",), inside="abs() takes a name or rate(name)")
            name = self._argument()
            self._close()
            return "rate", True, name
        name = self._name()
        self._close()
        return "value", True, name

    def _is_call(self) -> bool:
        here, following = self._tokens[self._next], self._tokens[self._next + 1 : self._next + 2]
        return here.kind == "word" and bool(following) and following[0].text == "("

    def _function(self, allowed: tuple[str, ...], inside: str = "") -> str:
        token = self._take()
        if token.text not in allowed:
            known = inside or f"there are {', '.join(_FUNCTIONS)}"
            hint = did_you_mean(token.text, allowed) or f"; {known}"
            what = "does not go here" if token.text in _FUNCTIONS else "is unknown"
            self._fail(f"the function {token.text!r} {what}{hint}", token)
        return token.text

    def _argument(self) -> str:
        self._open()
        if self._is_call():
            self._fail("the name of a variable is needed here", self._peek())
        name = self._name()
        self._close()
        return name

    def _open(self) -> None:
        self._take()

    def _close(self) -> None:
        token = self._peek()
        if token.text != ")" or token.kind != "mark":
            self._fail("')' is missing here", token)
        self._take()

    def _name(self) -> str:
        token = self._peek()
        if token.kind == "quoted":
            name = token.text[1:-1]
            if not name:
                self._fail("the name of a variable is missing", token)
        elif token.kind == "word":
            name = token.text
            if _NUMBER.match(name):
                self._fail("the name of a variable comes first: write  T > 60, not  60 < T", token)
        else:
            self._fail("the name of a variable is missing", token)
        self._take()
        return name

    # -- comparison and number --------------------------------------------------------------------

    def _comparison(self, name: str) -> str:
        token = self._peek()
        if token.kind == "word" and token.text in "+-*/%":
            self._fail("nothing is calculated here; log the result under a name of its own", token)
        if token.kind == "word":
            following = self._tokens[self._next + 1]
            if token.text not in _JOINING and following.kind in ("comparison", "word"):
                self._fail(
                    f'a comparison is missing; a name with a blank needs quotes: "{name} {token.text}"',
                    token,
                )
        if token.kind != "comparison":
            self._fail("a comparison is missing: one of >, >=, <, <=, ==, !=", token)
        if token.text not in _COMPARE:
            meant = _MEANT.get(token.text)
            hint = f"write {meant}" if meant else "one of >, >=, <, <=, ==, != is needed"
            self._fail(f"{token.text!r} is no comparison; {hint}", token)
        return self._take().text

    def _number(self) -> float:
        token = self._take_value("a number is missing")
        number = _NUMBER.match(token.text)
        if number is None:
            self._fail(f"a number is needed here, not {token.text!r}", token)
        rest = token.text[number.end() :]
        if rest:
            self._fail(
                f"only a number can stand here, without a unit: {number[0]}", token, number.end()
            )
        value = float(number[0])
        if math.isinf(value):
            self._fail("this number is too large", token)
        return value

    def _age(self) -> float:
        token = self._take_value("a duration is missing, such as 2min")
        return self._duration(token)

    def _per(self, quantity: str) -> float:
        token = self._take()
        if quantity != "rate":
            self._fail("'per' goes with rate(…) only", token)
        duration = self._take_value("a time is missing after 'per', such as 1min")
        bare = _Token("word", f"1{duration.text}", duration.column)
        seconds = self._duration(bare if duration.text.isalpha() else duration)
        if not seconds:
            self._fail("'per' needs a time above 0", duration)
        return seconds

    def _duration(self, token: _Token) -> float:
        text = token.text
        if (
            _NUMBER.fullmatch(text)
            and self._peek().kind == "word"
            and self._peek().text.isalpha()
            and self._peek().text != "per"
        ):
            text += self._take().text  # 2 min
        try:
            return parse_duration(text)
        except ValueError as error:
            self._fail(str(error), token)

    def _take_value(self, missing: str) -> _Token:
        token = self._peek()
        if token.kind != "word":
            self._fail(missing, token)
        return self._take()

    def _end(self) -> None:
        token = self._peek()
        if token.kind == "end":
            return
        before = self._tokens[self._next - 1]
        if token.text == "," and self._tokens[self._next + 1].text.isdigit():
            self._fail("a number is written with a decimal point: 3.5", token)
        if token.text in _JOINING or token.kind == "comparison":
            self._fail("one comparison is possible; make another alarm for another one", token)
        if token.kind == "word" and _NUMBER.fullmatch(before.text):
            self._fail("a unit cannot stand here, only 'per' and a time after a rate", token)
        self._fail("this does not belong to the condition", token)

    # -- tokens -----------------------------------------------------------------------------------

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    @staticmethod
    def _fail(message: str, token: _Token, offset: int = 0) -> NoReturn:
        raise ConditionError(message, token.column + offset)


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    end = len(text.rstrip())
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            column = position + len(text[position:]) - len(text[position:].lstrip())
            raise ConditionError("this quote is not closed", column)
        kind = str(token.lastgroup)
        found.append(_Token(kind, token[kind], token.start(kind)))
        position = token.end()
    return [*found, _Token("end", "", end)]
