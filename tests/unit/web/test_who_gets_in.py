"""Every sentence of who gets in, against a real server."""

import socket
import stat
import threading
import time
from types import SimpleNamespace

import pytest

from pymanip_run import AsyncSession, access
from pymanip_run.errors import UsageError
from pymanip_run.web.failures import Refusal
from pymanip_run.web.guard import Guard
from pymanip_run.web.settings import Policy
from pymanip_run.web.tokens import Tokens

DATA = ["/api/v1/snapshot", "/api/v1/variables", "/api/v1/parameters", "/api/v1/metadata", "/api/v1/runs",
        "/api/v1/figures", "/api/v1/tasks", "/api/v1/alarms", "/api/v1/events", "/api/v1/data",
        "/api/v1/datasets", "/api/v1/datasets/a/0.npy", "/api/v1/export.csv", "/api/v1/session.h5",
        "/api/logged_last_values", "/api/get_parameters", "/api/server_current_ts"]  # fmt: skip


@pytest.fixture
def session():
    """In memory: what is kept is not the point here."""
    with AsyncSession(verbose=False) as sesn:
        yield sesn


POSTS = {
    "/api/v1/notes": {"text": "hello"},
    "/api/v1/stop": {},
    "/api/v1/parameters/a": {"value": 1},
    "/api/data_from_ts": {"name": "T", "last_ts": 0},
}


# -- where it listens ---------------------------------------------------------------------------


def test_it_is_bound_to_this_computer_alone(client):
    addresses = {s.getsockname()[0] for s in client.server._listening.sockets}
    assert addresses <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in addresses


def test_shared_it_is_bound_to_all_addresses(serve):
    server = serve(host="0.0.0.0").server  # noqa: S104 - closed at once
    addresses = {s.getsockname()[0] for s in server._listening.sockets}
    assert "0.0.0.0" in addresses  # noqa: S104
    assert server.url == f"http://{socket.gethostname()}:{server.port}"


def test_bound_to_one_address_its_link_has_that_address(serve):
    """The name of the computer may mean another one."""
    client = serve(host="127.0.0.2")
    assert client.server.url == f"http://127.0.0.2:{client.port}"
    assert client.server.link.startswith(client.server.url)


# -- the token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DATA)
def test_without_a_token_nothing_is_told(client, path):
    answer = client.get(path, token=False)
    assert (answer.status, answer.error) == (401, "no_token")
    assert "pymanip-run" in answer.json["error"]["hint"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", POSTS)
def test_without_a_token_nothing_is_done(client, session, path):
    assert client.post(path, POSTS[path], token=False).error == "no_token"
    assert session.events() == []


@pytest.mark.parametrize("path", ["/", "/plot/T", "/healthz", "/static/nothing.js"])
def test_what_holds_no_data_needs_no_token(client, path):
    assert client.get(path, token=False).status in (200, 404)


def test_the_token_is_needed_also_for_paths_that_are_not_there(client):
    assert client.get("/api/v1/what", token=False).error == "no_token"


@pytest.mark.parametrize("written", [str.lower, lambda t: t.replace("-", ""), lambda t: f" {t} ",
                                     lambda t: t.replace("-", " "), str.swapcase])  # fmt: skip
def test_dashes_case_and_spaces_do_not_count(client, written):
    token = client.server.tokens.link_token
    assert client.get("/api/v1/runs", token=written(token)).status == 200


def test_a_wrong_token_is_refused_and_told_where_the_right_one_is(client):
    answer = client.get("/api/v1/runs", token=access.new_token())
    assert (answer.status, answer.error) == (401, "wrong_token")
    assert "pymanip-run token" in answer.json["error"]["hint"]


def test_another_users_token_is_wrong(client, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "theirs"))
    assert client.get("/api/v1/runs", token=access.user_token()).error == "wrong_token"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic YTpi", "x" * 4000, "Bearer \udcff"])
def test_an_authorization_that_is_none_is_no_token(client, header):
    answer = client.get(
        "/api/v1/runs",
        token=False,
        headers={"Authorization": header.encode("utf-8", "surrogateescape").decode("latin-1")},
    )
    assert answer.status == 401


def test_tokens_are_compared_in_constant_time():
    # What is compared is compared by hmac, and never by ==: the only comparison there is.
    import ast
    import inspect

    from pymanip_run.web import tokens

    tree = ast.parse(
        inspect.getsource(tokens.Tokens._matching)
        .replace("    def", "def", 1)
        .replace("\n    ", "\n")
    )
    assert not [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Compare) and isinstance(n.ops[0], (ast.Eq, ast.NotEq))
    ]
    assert "compare_digest" in ast.unparse(tree)


def test_after_ten_wrong_tokens_a_minute_more_wrong_ones_have_to_wait(client):
    wrong = [client.get("/api/v1/runs", token=access.new_token()) for _ in range(12)]
    assert [answer.status for answer in wrong] == [401] * 10 + [429] * 2
    assert 0 < int(wrong[-1].headers["Retry-After"]) <= 60
    assert client.get("/api/v1/runs").status == 200, "the right token always works"
    assert client.post("/login", {"token": access.new_token()}, token=False).status == 429
    assert (
        client.post("/login", {"token": client.server.tokens.link_token}, token=False).status == 200
    )


def test_missing_tokens_are_not_counted(client):
    for _ in range(15):
        assert client.get("/api/v1/runs", token=False).status == 401
    assert client.get("/api/v1/runs", token=access.new_token()).status == 401


def test_the_wrong_tokens_of_one_address_do_not_count_for_another():
    guard = Guard(Tokens(Policy("7K2M-9XQ4-0TBN-V5HC")), 6913)
    for number in range(5000):
        with pytest.raises(Exception, match="not the one"):
            guard.check_token("wrong", f"10.0.{number // 250}.{number % 250}")
    assert len(guard._wrong) <= 4096, "addresses are not kept for ever"


def test_none_needs_no_token(serve):
    client = serve(Policy("none"))
    assert client.server.tokens.is_open
    assert client.get("/api/v1/snapshot", token=False).status == 200
    assert client.server.link == f"http://localhost:{client.port}/"


def test_where_none_is_needed_the_users_own_token_is_no_wrong_one(serve):
    """Programs send what they have, and the link of `pymanip-run open` carries it."""
    client = serve(Policy("none"))
    own = access.user_token()
    assert client.get("/api/v1/snapshot", token=own).status == 200
    answer = client.post("/login", {"token": own}, token=False)
    assert (answer.status, answer.json) == (200, {"role": "read"})
    elsewhere = client.get("/api/v1/runs", token=own, headers={"Host": "evil.example"})
    assert elsewhere.error == "unknown_host", "it opens nothing more than none at all"


def test_without_a_folder_to_keep_it_there_is_a_token_for_this_run(
    serve, monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    client = serve(Policy())
    shown = client.server.tokens.shown
    assert shown
    assert shown in caplog.text
    assert client.get("/api/v1/runs", token=shown).status == 200


def test_a_rotated_token_is_adopted_and_old_cookies_end(client):
    old = client.server.tokens.link_token
    cookie = log_in(client, old)
    assert client.get("/api/v1/runs", token=False, headers={"Cookie": cookie}).status == 200
    new = access.rotate_token()
    deadline = time.monotonic() + 5
    while client.get("/api/v1/runs", token=new).status != 200:
        assert time.monotonic() < deadline, "not adopted within 5 s"
        time.sleep(0.8)  # not to be taken for somebody who tries tokens
    assert client.get("/api/v1/runs", token=old).error == "wrong_token"
    assert client.get("/api/v1/runs", token=False, headers={"Cookie": cookie}).error == "no_token"


def test_a_token_that_is_rotated_while_it_is_compared_gets_in_no_more():
    class Rotated(Tokens):
        def role_of(self, token):
            role = super().role_of(token)
            if role is not None and not self.changes:
                access.rotate_token()
                assert self.refresh()
            return role

    old = access.user_token()
    guard = Guard(Rotated(Policy()), 6913)
    request = SimpleNamespace(headers={"Authorization": f"Bearer {old}"}, remote="127.0.0.1")
    assert guard._bearer(request) == "read"
    with pytest.raises(Refusal, match="not the one of this run"):
        guard._bearer(request)


def test_a_token_made_anew_for_a_damaged_one_is_adopted():
    access.user_token()
    access.token_path().write_text("nonsense\n")
    tokens = Tokens(Policy())
    meanwhile = tokens.shown
    assert tokens.role_of(meanwhile) == "read"
    assert not tokens.refresh()
    new = access.rotate_token()
    assert tokens.refresh()
    assert (tokens.role_of(new), tokens.role_of(meanwhile)) == ("read", None)
    assert tokens.link_token == new


# -- cookies ------------------------------------------------------------------------------------


def log_in(client, token):
    answer = client.post("/login", {"token": token}, token=False)
    assert answer.status == 200, answer.body
    return answer.headers["Set-Cookie"].split(";")[0]


def test_the_page_logs_in_and_gets_a_cookie_that_scripts_cannot_read(client):
    answer = client.post("/login", {"token": client.server.tokens.link_token}, token=False)
    written = answer.headers["Set-Cookie"]
    assert written.startswith(f"pymanip_run_{client.port}=")
    assert "HttpOnly" in written
    assert "SameSite=Strict" in written
    assert "Domain" not in written
    token = client.server.tokens.link_token
    assert token not in written
    assert access.normalised(token) not in written
    cookie = written.split(";")[0]
    assert client.get("/api/v1/runs", token=False, headers={"Cookie": cookie}).status == 200


def test_a_cookie_of_another_port_is_none(client):
    value = log_in(client, client.server.tokens.link_token).partition("=")[2]
    for name in (f"pymanip_run_{client.port + 1}", "pymanip_run"):
        answer = client.get("/api/v1/runs", token=False, headers={"Cookie": f"{name}={value}"})
        assert answer.error == "no_token"


def test_a_cookie_opens_no_other_session_and_the_same_one_after_a_restart(serve, tmp_path):
    """Browsers show it to every server of the computer's name, whoever's that is, on whatever port."""
    policy = Policy("7K2M-9XQ4-0TBN-V5HC")
    name = "pymanip_run_6913"
    of = [Tokens(policy, session).cookie("read", name) for session in ("a", "b")]
    assert of[0] != of[1]
    assert Tokens(policy, "a").role_of_cookie(of[0], name) == "read", "the page goes on by itself"
    assert Tokens(policy, "b").role_of_cookie(of[0], name) is None
    found = set()
    for number in range(2):
        with AsyncSession(tmp_path / f"run{number}", verbose=False) as sesn:
            found.add(serve(policy, view=sesn).server.tokens.cookie("read", name))
    assert len(found) == 2
    assert not [secret for secret in found if access.normalised(policy.token) in secret.upper()]


@pytest.mark.parametrize("value", ["", "x", "a" * 64, "é", '"'])
def test_a_made_up_cookie_is_none(client, value):
    header = f"pymanip_run_{client.port}={value}"
    assert (
        client.get(
            "/api/v1/runs", token=False, headers={"Cookie": header.encode().decode("latin-1")}
        ).error
        == "no_token"
    )


@pytest.mark.parametrize("token", ["", None, 5, ["x"], {"a": 1}, "x" * 500])
def test_a_login_with_nonsense_is_refused(client, token):
    assert client.post("/login", {"token": token}, token=False).status in (400, 401)


# -- host names: rebinding ----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:6913", "127.0.0.1", "127.8.8.8:1", "[::1]:6913", "192.168.1.7:6913",
                                  "labpc.local", "x.localhost", "localhost.", socket.gethostname()])  # fmt: skip
def test_the_names_of_this_computer_are_known(serve, host):
    client = serve(Policy("none"))
    assert client.get("/api/v1/runs", token=False, headers={"Host": host}).status == 200


def test_the_name_that_the_network_has_for_this_computer_is_known(serve, monkeypatch):
    from pymanip_run.web import server

    monkeypatch.setattr(server, "full_names", lambda: {"labpc.physik.example.org"})
    client = serve(Policy("none"))
    deadline = time.monotonic() + 5
    host = {"Host": "LabPC.physik.example.org:6913"}
    while client.get("/api/v1/runs", token=False, headers=host).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:6913", "localhost.evil.example", "127.0.0.1.evil.example",
                                  "", "evil.local.example", "a/b", "x@localhost", "localhost:x:y", "[::1", "é" * 40])  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/v1/runs", "/healthz"])
def test_another_name_is_refused_and_told_which_key_adds_it(serve, host, path):
    client = serve(Policy("none"))
    answer = client.get(path, token=False, headers={"Host": host.encode().decode("latin-1")})
    assert answer.status in (400, 403)
    if answer.status == 403:
        assert answer.error == "unknown_host"
        assert "allowed_hosts" in answer.json["error"]["hint"]


def test_a_name_that_was_allowed_is_known(serve):
    client = serve(Policy("none", allowed_hosts=("Lab.Example.org",)))
    assert (
        client.get("/api/v1/runs", token=False, headers={"Host": "lab.example.org:80"}).status
        == 200
    )
    assert (
        client.get("/api/v1/runs", token=False, headers={"Host": "lab.example.com"}).status == 403
    )


def test_a_cookie_does_not_help_under_another_name_but_a_token_does(client):
    cookie = log_in(client, client.server.tokens.link_token)
    there = {"Host": "evil.example"}
    assert (
        client.get("/api/v1/runs", token=False, headers={"Cookie": cookie, **there}).error
        == "unknown_host"
    )
    assert client.get("/api/v1/runs", headers=there).status == 200
    wrong = access.new_token()
    assert client.get("/api/v1/runs", token=wrong, headers=there).error == "wrong_token"


# -- pages of other servers ---------------------------------------------------------------------


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "https://127.0.0.1"}, {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://["},
])  # fmt: skip
@pytest.mark.parametrize("token", [True, "none"])
def test_a_post_from_the_page_of_another_server_is_refused(serve, session, headers, token):
    client = serve(Policy("none") if token == "none" else None)
    sent = client.post("/api/v1/notes", {"text": "x"}, headers=headers, token=token is True)
    assert (sent.status, sent.error) == (403, "foreign_origin")
    assert session.events() == []


def test_a_post_of_the_own_page_is_taken(client):
    own = {"Origin": f"http://127.0.0.1:{client.port}", "Sec-Fetch-Site": "same-origin"}
    cookie = {"Cookie": log_in(client, client.server.tokens.link_token)}
    assert (
        client.post("/api/v1/notes", {"text": "x"}, headers=own | cookie, token=False).status == 201
    )


def test_a_cookie_alone_cannot_post_without_saying_where_from(client):
    cookie = {"Cookie": log_in(client, client.server.tokens.link_token)}
    assert (
        client.post("/api/v1/notes", {"text": "x"}, headers=cookie, token=False).error
        == "foreign_origin"
    )


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
def test_posts_need_json_which_forms_cannot_send(client, session, kind):
    sent = client.ask("POST", "/api/v1/notes", b'{"text": "x"}', {"Content-Type": kind})
    assert (sent.status, sent.error) == (415, "not_json")
    assert session.events() == []


def test_nobody_is_invited_to_read_across_origins(client):
    for method in ("GET", "OPTIONS"):
        answer = client.ask(
            method,
            "/api/v1/runs",
            headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"},
        )
        assert [h for h in answer.headers if h.lower().startswith("access-control")] == []


def test_pages_of_the_user_are_given_as_they_are(serve):
    from aiohttp import web

    async def plain(_):
        return web.Response(text="<style>b {color: red}</style>", content_type="text/html")

    async def strict(_):
        headers = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60"}
        return web.Response(text="mine", headers=headers)

    client = serve(custom_routes=[web.get("/plain", plain), web.get("/strict", strict)])
    headers = client.get("/plain").headers
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'", "its own styles work"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    headers = client.get("/strict").headers
    assert headers.get_all("Content-Security-Policy") == ["default-src 'self'"]
    assert headers["Cache-Control"] == "max-age=60"
    assert client.get("/plain", token=False).error == "no_token"
    assert "script-src 'self'" in client.get("/").headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/plot/mine/data", "/static/mine/data"])
def test_a_page_of_the_user_needs_the_token_also_below_what_needs_none(serve, path):
    from aiohttp import web

    async def mine(_):
        return web.Response(text="mine")

    client = serve(custom_routes=[web.get(path, mine)])
    assert client.get(path, token=False).error == "no_token"
    assert client.get(path).body == b"mine"


@pytest.mark.parametrize("path", ["/", "/api/v1/runs", "/api/v1/nothing", "/healthz"])
@pytest.mark.parametrize("token", [True, False])
def test_every_answer_tells_the_browser_what_it_must_not_do(client, path, token):
    headers = client.get(path, token=token).headers
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] in ("no-store", "no-cache")


# -- control ------------------------------------------------------------------------------------


def controlled(serve, session, **changes):
    from pymanip_run.session.serving import Control
    from pymanip_run.web.settings import Tunable

    control = Control(session)
    return serve(
        Policy(control=True), stop=control.stop, set_parameter=control.set_parameter,
        tunable={"setpoint": Tunable(10, 60)}, **changes,
    )  # fmt: skip


def test_without_control_nothing_can_be_stopped_or_changed(client, session):
    session.save_parameter(setpoint=25.0)
    for path, body in (("/api/v1/stop", {}), ("/api/v1/parameters/setpoint", {"value": 30})):
        answer = client.post(path, body)
        assert (answer.status, answer.error) == (403, "no_control")
    assert session.parameter("setpoint") == 25.0


def test_with_control_the_reading_token_is_not_enough(serve, session):
    session.save_parameter(setpoint=25.0)
    client = controlled(serve, session)
    for path, body in (("/api/v1/stop", {}), ("/api/v1/parameters/setpoint", {"value": 30})):
        assert client.post(path, body).error == "needs_control"
    assert session.parameter("setpoint") == 25.0
    assert client.get("/api/v1/snapshot").json["control"] is False


def test_the_link_carries_the_token_that_reads(serve, session):
    client = controlled(serve, session)
    assert access.user_token() in client.server.link
    assert access.user_token(control=True) not in client.server.link
    assert access.user_token() != access.user_token(control=True)


def test_a_change_is_an_event_with_old_and_new_value_and_the_senders_address(serve, session):
    session.save_parameter(setpoint=25.0)
    client = controlled(serve, session)
    token = access.user_token(control=True)
    made = client.post("/api/v1/parameters/setpoint", {"value": 30}, token=token)
    assert made.status == 201, made.body
    event = made.json["event"]
    assert event["text"] == "setpoint: 25.0 → 30.0"
    assert event["source"] == "127.0.0.1"
    assert session.parameter("setpoint") == 30.0
    assert [e.text for e in session.events()] == ["setpoint: 25.0 → 30.0"]
    assert client.get("/api/v1/snapshot", token=token).json["control"] is True


@pytest.mark.parametrize(("value", "code"), [(9.99, "out_of_limits"), (61, "out_of_limits"), ("30", "bad_value"),
                                             (True, "bad_value"), (None, "bad_value"), ([30], "bad_value"), (10**400, "bad_value")])  # fmt: skip
def test_the_limits_are_checked_on_the_server(serve, session, value, code):
    session.save_parameter(setpoint=25.0)
    client = controlled(serve, session)
    answer = client.post(
        "/api/v1/parameters/setpoint", {"value": value}, token=access.user_token(control=True)
    )
    assert answer.error == code
    assert session.parameter("setpoint") == 25.0


def test_an_integer_that_no_file_holds_is_refused(serve, session):
    from pymanip_run.session.serving import Control
    from pymanip_run.web.settings import Tunable

    session.save_parameter(setpoint=25)
    control = serve(
        Policy(control=True), set_parameter=Control(session).set_parameter,
        tunable={"setpoint": Tunable()},
    )  # fmt: skip
    answer = control.post(
        "/api/v1/parameters/setpoint", {"value": 2**70}, token=access.user_token(control=True)
    )
    assert (answer.status, answer.error) == (400, "bad_value")
    assert session.parameter("setpoint") == 25


def test_not_every_parameter_can_be_changed(serve, session):
    session.save_parameter(setpoint=25.0, voltage=4)
    client = controlled(serve, session)
    token = access.user_token(control=True)
    assert (
        client.post("/api/v1/parameters/voltage", {"value": 5}, token=token).error == "not_tunable"
    )
    assert (
        client.post("/api/v1/parameters/nothing", {"value": 5}, token=token).error
        == "no_such_parameter"
    )


def test_a_stop_is_asked_for_and_is_an_event(serve, session):
    from pymanip_run.session import internals

    client = controlled(serve, session)
    made = client.post("/api/v1/stop", {"reason": "smoke"}, token=access.user_token(control=True))
    assert made.status == 201
    assert made.json["event"]["source"] == "127.0.0.1"
    assert "smoke" in internals(session).stop.reason
    assert "smoke" in session.events()[0].text


def test_the_reading_token_adds_notes(client, session):
    made = client.post(
        "/api/v1/notes", {"text": "refilled <b>nitrogen</b>", "source": "night shift"}
    )
    assert made.status == 201
    assert [(e.kind, e.source, e.text) for e in session.events()] == [
        ("note", "night shift", "refilled <b>nitrogen</b>")
    ]


# -- what is kept -------------------------------------------------------------------------------


def test_the_token_is_eighty_bits_that_can_be_read_over_the_phone():
    tokens = {access.new_token() for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        groups = token.split("-")
        assert [len(group) for group in groups] == [4] * 4
        assert set("".join(groups)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_the_token_is_made_once_and_only_its_owner_can_read_it():
    token = access.user_token()
    path = access.token_path()
    assert access.user_token() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_two_processes_that_begin_at_once_make_one_token():
    found = []
    threads = [threading.Thread(target=lambda: found.append(access.user_token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [p.name for p in access.token_path().parent.iterdir()] == ["token"]


def test_a_token_that_others_could_read_is_closed_to_them():
    access.user_token()
    access.token_path().chmod(0o644)
    access.user_token()
    assert stat.S_IMODE(access.token_path().stat().st_mode) == 0o600


@pytest.mark.parametrize("token", ["-", " - - ", "1", "lab", "abc-def", "a-b-c-d-e-f-g"])
def test_a_token_that_is_soon_guessed_is_refused(token):
    with pytest.raises(UsageError, match="soon guessed; give 8 letters and digits or more"):
        Tokens(Policy(token))


def test_a_run_whose_token_is_soon_guessed_does_not_begin(session):
    begun = []

    async def task():
        begun.append(1)

    with pytest.raises(UsageError, match="a server's token of 3 signs is soon guessed"):
        session.run(task(), server_token="lab")  # noqa: S106 - that it is none is the point
    assert begun == []
    assert Tokens(Policy("night-shift")).role_of("NIGHT SHIFT") == "read"
