"""The server and the session of the tests of the server."""

import importlib.util
from pathlib import Path

_path = Path(__file__).parents[1] / "web" / "conftest.py"
_spec = importlib.util.spec_from_file_location("web_conftest", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
serve, session, watched = _module.serve, _module.session, _module.watched
