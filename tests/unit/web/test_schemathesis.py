"""The API against its own description: schemathesis asks whatever it allows, and what it does not."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pymanip_run import AsyncSession

EXAMPLES = os.environ.get("PYMANIP_RUN_TEST_SCHEMATHESIS", "15")
#: Names that are there; others are asked for by the tests of the descriptions.
THERE = """
[[operations]]
include-path-regex = "/datasets/"
parameters = { "path.name" = "frame", "path.index" = 0 }
"""
#: What is no request and answer.
LEFT_OUT = ["/api/v1/live"]


@pytest.fixture
def session():
    with AsyncSession(verbose=False) as sesn:
        for number in range(50):
            sesn.add_entry(T=number, P=float("nan"))
        sesn.add_dataset(frame=np.zeros((4, 5)), text="hello")
        sesn.save_parameter(voltage=4)
        yield sesn


def test_whatever_the_description_allows_is_answered_as_it_says(
    serve, session, tmp_path, monkeypatch
):
    from pymanip_run.session.serving import write_series
    from pymanip_run.web import api

    monkeypatch.setattr(api, "MAX_WAIT", 0.02)
    client = serve(write_csv=lambda *args: write_series(session, *args))
    (tmp_path / "schemathesis.toml").write_text(THERE)
    token = client.server.tokens.link_token
    left_out = [option for path in LEFT_OUT for option in ("--exclude-path", path)]
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{client.port}/api/v1/openapi.json",
            "-H", f"Authorization: Bearer {token}", "--max-examples", EXAMPLES, "--request-timeout", "10",
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--seed", "1", "--no-color", "--workers", "2", *left_out,
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert json.loads(client.get("/healthz").body) == {"status": "ok"}
