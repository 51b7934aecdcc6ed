"""What concerns alarms, plots and the names that they mention."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pymanip_run.alarms.grammar import Condition, ConditionError, parse_condition
from pymanip_run.errors import did_you_mean
from pymanip_run.experiment.checks.finding import Finding, given, listed, mapping, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymanip_run.experiment.text.nodes import Part

__all__ = ["check_alarms", "check_plots", "unmentioned"]

#: What code may log: keyword arguments, and texts that are one word.
_LOGGED = re.compile(r"([^\W\d]\w*)\s*=(?!=)|[\"']([^\W\d]\w*)[\"']")


def check_alarms(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with alarms and their tests."""
    alarms = mapping(data, "alarms")
    for name in alarms:
        alarm = mapping(alarms, name)
        path = ("alarms", name)
        yield from _clear(path, alarm)
        if "mail" in texts(alarm, "do") and not isinstance(data.get("email"), dict):
            text = "there is no 'email:' that says from whom, to whom and through which server"
            yield Finding((*path, "do", listed(alarm, "do").index("mail")), text, value=True)
    tests = data.get("alarm_tests")
    conditions = {name: _condition(mapping(alarms, name).get("when")) for name in alarms}
    watched = {when.variable for when in conditions.values() if when is not None}
    for index, test in enumerate(tests if isinstance(tests, list) else ()):
        yield from _test(("alarm_tests", index), mapping(test), conditions, watched)


def _clear(path: tuple[Part, ...], alarm: Mapping[str, Any]) -> Iterator[Finding]:
    when, clear = _condition(alarm.get("when")), _condition(alarm.get("clear"))
    if when is None or clear is None:
        return
    if when.variable == clear.variable and not clear.excludes(when):
        comparable = (when.quantity, when.magnitude) == (clear.quantity, clear.magnitude)
        if comparable:
            text = f"this can be true while {when} still is: the alarm would come and go"
            yield Finding((*path, "clear"), text, value=True, warning=True)
    elif when.variable != clear.variable:
        text = f"another variable than that of 'when', which is {when.variable!r}; is that meant?"
        yield Finding((*path, "clear"), text, value=True, warning=True)


def _condition(text: object) -> Condition | None:
    if not isinstance(text, str):
        return None
    try:
        return parse_condition(text)
    except ConditionError:
        return None


def _test(
    path: tuple[Part, ...],
    test: Mapping[str, Any],
    conditions: Mapping[str, Condition | None],
    watched: set[str],
) -> Iterator[Finding]:
    variable = test.get("variable")
    for index, name in enumerate(listed(test, "expect")):
        place = (*path, "expect", index)
        if not isinstance(name, str):
            continue
        if name not in conditions:
            text = f"there is no alarm {name!r}{did_you_mean(name, conditions)}"
            yield Finding(place, text, value=True)
            continue
        when = conditions[name]
        if when is not None and isinstance(variable, str) and when.variable != variable:
            text = f"the alarm {name!r} depends on {when.variable!r}, not on {variable!r}"
            yield Finding(place, text, value=True)
    if isinstance(variable, str) and watched and variable not in watched:
        text = f"no alarm depends on {variable!r}{did_you_mean(variable, watched)}"
        yield Finding((*path, "variable"), text, value=True, warning=True)


def check_plots(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with plots."""
    plots = data.get("plots")
    for index, plot in enumerate(plots if isinstance(plots, list) else ()):
        if not isinstance(plot, dict):
            continue
        path = ("plots", index)
        given_keys = given(plot, ("variables", "x", "y"))
        if not given_keys:
            yield Finding(path, "what is drawn is missing: give variables, or x and y")
        elif "variables" in given_keys and len(given_keys) > 1:
            yield Finding(path, "'variables' are drawn over time; 'x' and 'y' are for another plot")
        elif given_keys in (["x"], ["y"]):
            other = "y" if given_keys == ["x"] else "x"
            yield Finding(path, f"{other!r} is missing")
        elif "x" in given_keys and "window" in plot:
            yield Finding((*path, "window"), "a window is for variables over time")


def unmentioned(data: Mapping[str, Any], source: str) -> Iterator[Finding]:
    """Yield the variables of plots and alarms that neither the file nor the code of its tasks mentions.

    A name that code puts together (``f"T{n}"``) cannot be found; it is declared under `variables`.
    """
    declared = {*mapping(data, "variables"), *mapping(data, "parameters")}
    words: set[str] | None = None
    for path, name, column in _uses(data):
        if name in declared or _place(name, source):
            continue
        if words is None:
            words = {first or second for first, second in _LOGGED.findall(source)}
        hint = did_you_mean(name, declared) or did_you_mean(name, words)
        text = f"no task seems to log {name!r}{hint or '; if one does, declare it under variables'}"
        yield Finding(path, text, value=True, warning=True, column=column)


def _place(name: str, text: str) -> re.Match[str] | None:
    """Return where a name stands by itself, not as a part of another."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)


def _uses(data: Mapping[str, Any]) -> Iterator[tuple[tuple[Part, ...], str, int]]:
    """Yield path, name and column of each variable that a plot or an alarm mentions."""
    for name, alarm in mapping(data, "alarms").items():
        for key in ("when", "clear"):
            text = mapping(alarm).get(key)
            condition = _condition(text)
            if condition is not None:
                # The name itself: 'r' is not found in "rate".
                place = _place(condition.variable, str(text))
                column = place.start() if place else 0
                yield ("alarms", name, key), condition.variable, column
    plots = data.get("plots")
    for index, plot in enumerate(plots if isinstance(plots, list) else ()):
        short = isinstance(plot, list)
        settings = {"variables": plot} if short else mapping(plot)
        for at, variable in enumerate(listed(settings, "variables")):
            if isinstance(variable, str):
                yield ("plots", index, *(() if short else ("variables",)), at), variable, 0
        for key in ("x", "y"):
            if isinstance(settings.get(key), str):
                yield ("plots", index, key), settings[key], 0
