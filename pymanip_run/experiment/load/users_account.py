"""The mail server of the user's own configuration, for scripts that name none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.load.user_settings import read_settings
from pymanip_run.experiment.model.experiment import UserSettings
from pymanip_run.experiment.text.nodes import plain
from pymanip_run.experiment.text.problems import config_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.experiment.text.problems import Problem

__all__ = ["users_account"]


def users_account(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return host, port, security, user and password of the user's configuration; empty without one.

    Raises
    ------
    ConfigError
        With everything that is wrong in it.
    """
    problems: list[Problem] = []
    settings = read_settings(environ, problems, set())
    if problems:
        raise config_error(problems)
    email = UserSettings.model_validate(plain(settings.root)).email if settings else None
    if email is None:
        return {}
    return email.model_dump(include={"host", "port", "security", "user", "password"})
