"""Mail servers: a real one, and some that misbehave."""

import socket
import ssl
import threading
import warnings
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from helpers_ports import free_port

PASSWORD = "correct-horse-battery"


class Mailbox:
    """Takes mails; as a handler of aiosmtpd."""

    def __init__(self, refuse=()):
        self.mails, self.logins, self.encrypted = [], [], []
        self._refuse = list(refuse)
        self._arrived = threading.Condition()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd
        if self._refuse:
            return self._refuse.pop(0)
        with self._arrived:
            self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            self._arrived.notify_all()
        return "250 OK"

    def wait_for(self, number, seconds=20):
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.mails) >= number, seconds), self.subjects
        return self.mails

    def refuse_no_more(self):
        self._refuse.clear()

    @property
    def subjects(self):
        return [str(mail["Subject"]) for mail in self.mails]

    def authenticate(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((mechanism, data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@contextmanager
def smtp_server(mailbox, security="none", context=None, login=False, largest=None):
    """Run a real server, which takes mails of so many bytes at most; yield its port."""
    port = free_port()
    options = {"require_starttls": security == "starttls"}
    if largest is not None:
        options["data_size_limit"] = largest
    if security == "starttls":
        options["tls_context"] = context
    if login:
        options |= {
            "authenticator": mailbox.authenticate,
            "auth_required": True,
            "auth_require_tls": security == "starttls",
        }

    class Here(Controller):
        def factory(self):
            with warnings.catch_warnings():
                # It does not know that the connection is encrypted from its beginning.
                warnings.simplefilter("ignore", UserWarning)
                return SMTP(self.handler, hostname="localhost", **options)

    controller = Here(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        ssl_context=context if security == "tls" else None,
        ready_timeout=20,
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@contextmanager
def bad_server(behave):
    """Run ``behave(connection, over)`` for each connection, in a thread; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve(connection):
        with suppress(OSError), connection:
            behave(connection, over)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def hang(connection, over):
    over.wait(120)


def drip_at(pace, beginning=b"220 "):
    """Return a server that sends a byte every `pace` seconds, for ever."""

    def behave(connection, over):
        connection.sendall(beginning)
        while not over.wait(pace):
            connection.sendall(b"a")

    return behave


def close_early(connection, over):
    connection.sendall(b"220 ready\r\n")
    connection.recv(1000)


def close_after(command):
    """Return a server that closes the connection when it is sent a command."""

    def behave(connection, over):
        connection.sendall(b"220 ready\r\n")
        while line := connection.recv(4096):
            if line.upper().startswith(command):
                return
            if line.upper().startswith(b"EHLO"):
                connection.sendall(b"250 HELP\r\n")
            else:
                connection.sendall(b"250 OK\r\n")

    return behave


def echo_password(connection, over):
    """Repeat in its refusal what it was sent, as some servers do."""
    connection.sendall(b"220 ready\r\n")
    said = b""
    while line := connection.recv(4096):
        said += line.strip() + b" "
        if line.upper().startswith(b"EHLO"):
            connection.sendall(b"250-ready\r\n250 AUTH PLAIN\r\n")
        else:
            connection.sendall(b"535 5.7.8 refused: " + said.replace(b"\r\n", b" ") + b"\r\n")


def garbage(connection, over):
    connection.sendall(bytes(range(256)) * 40 + b"\r\n")
    over.wait(0.2)


def tls_contexts(authority):
    """Return a server's context with a certificate for ``localhost`` of a `trustme` authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context
