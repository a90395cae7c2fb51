"""Who is let in to the servers: their own pages and clients, and no page of another site."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
import uvicorn
from fixtures.local_server import local_server
from fixtures.up import Running
from starlette.responses import PlainTextResponse

from flows.guard import REMEMBER_FOR_MLFLOW, _guarded
from flows.server import free_port

LOGIN = "percasym:a-secret"
HERE = "127.0.0.1:4200"


def ask(
    path: str = "/", method: str = "GET", login: str = LOGIN, host: str = HERE, **headers: str
) -> httpx.Response:
    """What a guarded server answers."""
    app = _guarded(PlainTextResponse("let in"), REMEMBER_FOR_MLFLOW, LOGIN)

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
            auth = tuple(login.split(":")) if login else None
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named, auth=auth)

    return asyncio.run(answer())


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (200, {}),
        (200, {"host": "localhost:4200"}),
        (200, {"host": "[::1]:4200"}),
        (200, {"method": "POST", "origin": f"http://{HERE}"}),
        (200, {"method": "POST", "origin": f"https://{HERE}"}),  # with TLS in front
        (200, {"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}),
        (200, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}),
        (200, {"path": "/health", "login": ""}),
        (200, {"path": "/enter", "login": ""}),
        (400, {"host": "rebound.example:4200"}),
        (400, {"host": "127.0.0.1.rebound.example"}),
        (400, {"host": "rebound.example", "path": "/enter", "login": ""}),
        (401, {"login": ""}),
        (401, {"login": "percasym:another"}),
        (401, {"login": "percasym:\u00fc"}),
        (401, {"path": "/health/", "login": ""}),
        (401, {"path": "/enter/x", "login": ""}),
        (403, {"origin": "http://127.0.0.1:4201"}),
        (403, {"origin": "http://127.0.0.1"}),
        (403, {"origin": "null"}),
        (403, {"origin": "http://rebound.example:4200"}),
        (403, {"method": "OPTIONS", "origin": "http://127.0.0.1:4201"}),
        (403, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}),
        (403, {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}),
        (
            403,
            {
                "method": "POST",
                "sec_fetch_site": "cross-site",
                "sec_fetch_mode": "navigate",
                "sec_fetch_dest": "document",
            },
        ),
    ],
)
def test_who_is_let_in(status: int, request_: dict[str, Any]) -> None:
    answer = ask(**request_)
    assert answer.status_code == status, answer.text
    assert (answer.text == "let in") == (status == 200 and request_.get("path") != "/enter")


@pytest.mark.parametrize("headers", [{"host": "rebound.example"}, {"host": HERE, "origin": "http://other"}])
def test_no_websocket_of_another_page_is_opened(headers: dict[str, str]) -> None:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(_guarded(app, REMEMBER_FOR_MLFLOW)(scope, None, send))  # type: ignore[arg-type]
    assert not reached
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] in (400, 403)


def test_names_of_a_team_are_answered_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCASYM_SERVER_HOSTS", "team.example,127.0.0.1")
    assert ask(host="team.example").status_code == 200
    assert ask(host="rebound.example").status_code == 400


# --- in a browser -------------------------------------------------------------------------------------------

ATTACK = """async ({prefect, mlflow, deployment}) => {
  const found = {};
  const attempt = async (name, action) => {
    try { found[name] = await action(); } catch (error) { found[name] = error.name; }
  };
  const read = async (address, options) => {
    const answer = await fetch(address, {credentials: "include", ...options});
    return answer.type === "opaque" ? "sent" : `${answer.status} ${await answer.text()}`;
  };
  const json = (method, body) =>
    ({method, body: JSON.stringify(body), headers: {"content-type": "application/json"}});
  const steps = {pull_steps: [{"prefect.deployments.steps.run_shell_script": {script: "touch reached"}}]};
  const run = `${prefect}/api/deployments/${deployment}/create_flow_run`;
  const socket = (path, protocols) => new Promise((done) => {
    const opened = new WebSocket(prefect.replace("http", "ws") + path, protocols);
    opened.onopen = () => done("open");
    opened.onerror = () => done("refused");
  });
  const shown = (tag, address) => new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = () => done("loaded");
    element.onerror = () => done("refused");
    element.src = address;
    document.body.append(element);
  });
  await attempt("health", () => read(`${prefect}/api/health`));
  await attempt("settings", () => read(`${prefect}/ui-settings`));
  await attempt("token", () => read(`${prefect}/api/csrf-token?client=foreign`));
  await attempt("list", () => read(`${prefect}/api/deployments/filter`, json("POST", {})));
  await attempt("steps", () => read(`${prefect}/api/deployments/${deployment}`, json("PATCH", steps)));
  await attempt("run", () => read(run, json("POST", {})));
  await attempt("run, simple", () => read(run, {method: "POST", mode: "no-cors", body: new Blob(["{}"])}));
  await attempt("run, text", () => read(run, {method: "POST", mode: "no-cors", body: "{}"}));
  await attempt("experiments", () => read(`${mlflow}/ajax-api/2.0/mlflow/experiments/search?max_results=9`));
  for (const api of ["api", "ajax-api"]) {
    const create = `${mlflow}/${api}/2.0/mlflow/experiments/create`;
    await attempt(`create, ${api}`, () => read(create, json("POST", {name: "reached"})));
    await attempt(`create, ${api}, simple`,
      () => read(create, {method: "POST", mode: "no-cors", body: '{"name": "reached"}'}));
  }
  await attempt("assistant", () => read(`${mlflow}/ajax-api/3.0/mlflow/assistant/config`));
  for (const path of ["/api/events/in", "/api/events/out", "/api/logs/out"])
    for (const protocols of [[], ["prefect"]])
      await attempt(`socket ${path} ${protocols}`, () => socket(path, protocols));
  await attempt("script", () => shown("script", `${mlflow}/static-files/index.html`));
  await attempt("image", () => shown("img", `${prefect}/ico/favicon-32x32.png?foreign`));
  const frame = document.createElement("iframe");
  frame.name = "target";
  document.body.append(frame);
  for (const address of [run, `${mlflow}/api/2.0/mlflow/experiments/create`]) {
    const form = document.createElement("form");
    form.method = "POST", form.enctype = "text/plain", form.action = address, form.target = "target";
    const field = document.createElement("input");
    field.name = '{"name": "reached", "ignored": "', field.value = '"}';
    form.append(field);
    document.body.append(form);
    const loaded = new Promise((done) => { frame.onload = done; });
    form.submit();
    await Promise.race([loaded, new Promise((done) => setTimeout(done, 3000))]);
  }
  return found;
}"""

REFUSED = ("TypeError", "refused", "sent", "400 ", "401 ", "403 ")  # "sent": nothing is told; see what it did
FOREIGN = "foreign.example"


@pytest.fixture
def context() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"],
        )
        context = browser.new_context()
        context.set_default_timeout(60_000)
        yield context
        browser.close()


class Foreign(BaseHTTPRequestHandler):
    """A page of somebody else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>foreign</title><body>")

    def log_message(self, *args: object) -> None: ...


def enter(context: Any, up: Running) -> None:
    """Logs the browser in to both servers, by the links, and looks at what they show."""
    page = context.new_page()
    page.goto(up.entrance(up.prefect))
    page.get_by_text("Deployments", exact=True).first.click()
    page.get_by_role("link", name="study", exact=True).first.wait_for()
    assert up.login.partition(":")[2] not in page.url
    page.goto(up.entrance(up.mlflow))
    page.wait_for_url(lambda url: "/enter" not in url)
    page.goto(f"{up.mlflow}/#/experiments")
    page.get_by_text("Default", exact=True).first.wait_for()
    page.close()


@pytest.mark.servers
@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("browser")  # whose servers these are
def test_a_foreign_page_reaches_nothing_and_the_pages_of_the_servers_work(up: Running, context: Any) -> None:
    enter(context, up)
    before = reached(up)
    deployment = up.api("GET", "/deployments/name/study/study")
    targets = {"prefect": up.prefect, "mlflow": up.mlflow, "deployment": deployment["id"]}
    with local_server(Foreign) as other_port:
        port = other_port.rpartition(":")[2]
        for site in (other_port, f"http://localhost:{port}", f"http://{FOREIGN}:{port}"):
            page = context.new_page()
            page.goto(site)
            check(page.evaluate(ATTACK, targets), site)
            page.close()
    for address in (up.prefect, up.mlflow):  # a name that was somebody else's a moment ago
        rebound = address.replace("127.0.0.1", FOREIGN)
        page = context.new_page()
        page.route(f"{rebound}/", lambda route: route.fulfill(body="<body>", content_type="text/html"))
        page.goto(rebound)
        check(page.evaluate(ATTACK, {**targets, "prefect": rebound, "mlflow": rebound}), rebound)
        page.close()
    assert reached(up) == before
    assert up.api("GET", "/deployments/name/study/study")["pull_steps"] == deployment["pull_steps"]


def check(found: dict[str, str], site: str) -> None:
    assert len(found) > 20
    let_in = {name: answer for name, answer in found.items() if not answer.startswith(REFUSED)}
    assert not let_in, site


def reached(up: Running) -> tuple[int, list[str]]:
    """Flow runs, and experiments."""
    answer = httpx.get(
        f"{up.mlflow}/api/2.0/mlflow/experiments/search?max_results=99", auth=tuple(up.login.split(":"))
    )
    return up.api("POST", "/flow_runs/count", {}), [one["name"] for one in answer.json()["experiments"]]


@pytest.mark.servers
def test_a_link_logs_in_once_the_secret_is_another(context: Any) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with serving(LOGIN, port):
        assert opened(context, address) == "refused"
        assert opened(context, f"{address}/enter#{LOGIN}") == "let in"
        assert opened(context, address) == "let in"
    with serving("percasym:another", port):
        assert opened(context, address) == "refused"
        assert "does not log in" in opened(context, f"{address}/enter#{LOGIN}")
        assert opened(context, f"{address}/enter#percasym:another") == "let in"
        assert opened(context, address) == "let in"


def opened(context: Any, address: str) -> str:
    """What a browser shows."""
    page = context.new_page()
    try:
        page.goto(address)
        page.get_by_text("let in").or_(page.get_by_text("does not log in")).wait_for()
        return str(page.locator("body").inner_text())
    except Exception as error:
        if "INVALID_AUTH" not in str(error):
            raise
        return "refused"
    finally:
        page.close()


@contextmanager
def serving(login: str, port: int) -> Iterator[None]:
    server = uvicorn.Server(
        uvicorn.Config(
            _guarded(PlainTextResponse("let in"), REMEMBER_FOR_MLFLOW, login), port=port, log_level="error"
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.05)
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
