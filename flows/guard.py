"""What stands before Prefect's and MLflow's servers: it lets in their own pages and clients, and nobody else.

Whatever page is open in a browser can make it send requests to this machine. Authentication alone does not
stop that, as a browser that has a password sends it along; nor do the servers themselves: Prefect's answers
to any name, and MLflow's takes pages of any port of this machine for its own, those of other users too.
"""

import base64
import hmac
import os
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.server import ENTRANCE, HOSTS, LOCAL

HEALTH = "/health"  # everybody may know that there is a server
FOREIGN = "pages of other sites are not let in"


class Guard:
    """An ASGI app before another one.

    Args:
        page: what logs a browser in; it is at `ENTRANCE`.
        login: USER:PASSWORD that `app` is to be asked with; "": `app` asks for one itself.
    """

    def __init__(self, app: ASGIApp, page: str, login: str = "") -> None:
        self.app = app
        self.page = page
        self.expected = f"Basic {base64.b64encode(login.encode()).decode()}".encode() if login else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            return await refusal(scope, receive, send)

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("x-frame-options", "SAMEORIGIN")
            await send(message)

        return await self.app(scope, receive, framed)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered instead of the app, if anything is."""
        if _foreign(scope, headers):
            return PlainTextResponse(FOREIGN, 403)
        if scope["type"] == "http" and scope["path"] == ENTRANCE:
            return HTMLResponse(self.page, headers=PAGE_HEADERS)
        if self.expected is None or (scope["type"] == "http" and scope["path"] == HEALTH):
            return None
        given = headers.get("authorization", "").encode("latin-1")
        if hmac.compare_digest(given, self.expected):
            return None
        return PlainTextResponse(
            "open the link that `percasym up --check` prints\n",
            401,
            {"www-authenticate": 'Basic realm="percasym", charset="UTF-8"'},
        )


def _foreign(scope: Scope, headers: Headers) -> bool:
    """Whether a page of another origin asks, as the browser says; clients that are none say nothing."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return True
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    # A link may lead here from anywhere: a page that is opened by one cannot be read by where it was.
    opened = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return not (opened and scope.get("method") in ("GET", "HEAD"))


def _guarded(app: ASGIApp, remember: str, login: str = "") -> ASGIApp:
    names: Sequence[str] = os.environ.get(HOSTS, ",".join(LOCAL)).split(",")
    return TrustedHostMiddleware(Guard(app, PAGE % remember, login), names, www_redirect=False)


def prefect_app() -> ASGIApp:
    """Prefect's server, which asks for PREFECT_SERVER_API_AUTH_STRING itself."""
    from prefect.server.api.server import create_app

    if not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise RuntimeError("PREFECT_SERVER_API_AUTH_STRING is not set")
    return _guarded(create_app(final=True), REMEMBER_FOR_PREFECT)


def mlflow_app() -> ASGIApp:
    """MLflow's server for whoever has MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.

    It is asked often, and MLflow's own users cost a slow hash each time.
    """
    from mlflow.server.fastapi_app import app

    login = f"{os.environ['MLFLOW_TRACKING_USERNAME']}:{os.environ['MLFLOW_TRACKING_PASSWORD']}"
    return _guarded(app, REMEMBER_FOR_MLFLOW, login)


def mlflow_users_app() -> ASGIApp:
    """MLflow's server with users of its own, among them the one of the environment."""
    from mlflow.server.auth import create_app, store

    app = create_app()
    name, password = (os.environ[f"MLFLOW_AUTH_ADMIN_{part}"] for part in ("USERNAME", "PASSWORD"))
    if not store.authenticate_user(name, password):  # the database has the one of its first start
        store.update_user(name, password=password)
    return _guarded(app, REMEMBER_FOR_MLFLOW)


# The login is behind the # of a link, which no browser sends and no server logs. A wrong one changes nothing.
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>percasym</title>
<p>Logging in ...
<script>
const login = decodeURIComponent(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
async function enter() {
  const basic = btoa(login), headers = {authorization: "Basic " + basic};
  %s
  location.replace("/");
}
enter().catch(() => {
  document.querySelector("p").textContent =
    "This link does not log in (any more). Take the one that `percasym up --check` prints.";
});
</script>
"""

CHECK = """const answer = await fetch("%s", {headers, credentials: "omit", cache: "no-store"});
  if (!answer.ok) throw new Error(answer.statusText);"""

REMEMBER_FOR_PREFECT = f"""{CHECK % "/api/admin/version"}
  localStorage.setItem("prefect-password", basic);"""  # where its own form puts it

# What a request of this kind has brought along a browser sends by itself from then on.
REMEMBER_FOR_MLFLOW = f"""{CHECK % "/version"}
  const [user, ...password] = login.split(":");
  await new Promise((done) => {{
    const request = new XMLHttpRequest();
    request.open("GET", "/version", true, user, password.join(":"));
    request.onloadend = done;
    request.send();
  }});"""

PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}
