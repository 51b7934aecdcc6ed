"""Certificates of an authority that these tests trust, and nobody else does."""

import pytest
import trustme
from helpers_mail import tls_contexts


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(authority):
    return tls_contexts(authority)


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    """Let this computer trust the authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
