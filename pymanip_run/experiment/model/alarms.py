"""Alarms in the experiment file: when they act, what they do, and how they are tested."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from pymanip_run.alarms.grammar import Condition, ConditionError, parse_condition
from pymanip_run.experiment.model.fields import (
    ALSO_ONE,
    ONE_OR_MANY,
    PLACED,
    Duration,
    Name,
    Number,
    Period,
    Strict,
)
from pymanip_run.experiment.text.scalars import as_written

__all__ = ["Action", "Alarm", "AlarmTest", "Run"]


def _condition(value: Any) -> Condition:
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - pydantic's contract
            f"a condition is needed, not {as_written(value)}; write for example  T > 60"
        )
    try:
        return parse_condition(value)
    except ConditionError as error:
        context = {"message": str(error), "column": error.column}
        raise PydanticCustomError(PLACED, "{message}", context) from None


#: A condition on a logged variable.
When = Annotated[
    Condition,
    PlainValidator(_condition),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": "[<>]=?|[=!]=",
         "examples": ["T > 60", "age(T) > 2min", "abs(rate(T)) > 2 per 1min"]}
    ),
]  # fmt: skip


class Run(Strict):
    """A coroutine that an alarm starts."""

    run: str = Field(min_length=1, description="The function, `name` or `module:Name`.")


def _form(value: Any) -> str:
    return "[run]" if isinstance(value, (dict, Run)) else "[word]"


#: What an alarm does.
Action = Annotated[
    Annotated[Literal["log", "mail", "stop"], Tag("[word]")] | Annotated[Run, Tag("[run]")],
    Discriminator(_form),
]


class Alarm(Strict):
    """A condition on a logged variable, and what is done when it holds."""

    when: When = Field(
        description="Name, comparison and number; age(name) and rate(name) take the place of a name."
    )
    for_: Duration = Field(
        default=0.0, alias="for", description="How long it must hold before the alarm is active."
    )
    clear: When | None = Field(
        default=None,
        description="What ends the alarm. Left out: that `when` does not hold any more.",
    )
    do: Annotated[list[Action], Field(min_length=1), ONE_OR_MANY, ALSO_ONE] = Field(
        default=["log"],
        description="What is done once: log, mail, stop (exit code 5), or a coroutine that is run.",
    )
    message: str | None = Field(
        default=None, min_length=1, description="What people are told. Left out: the condition."
    )


class AlarmTest(Strict):
    """Made-up values of a variable, and the alarms that they must set off."""

    variable: Name = Field(description="The logged variable.")
    values: list[Number | None] = Field(
        min_length=1, description="Its values in order; null where nothing is logged."
    )
    every: Period = Field(description="Time between two of them.")
    expect: Annotated[list[Name], ONE_OR_MANY, ALSO_ONE] = Field(
        description="Alarms that must become active; [] if none may."
    )
