"""optuna-dashboard on this machine's own address, to look at; whoever asks for it may write."""

import json
import socketserver
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder, install_extra
from journal_launcher.study.reading import open_study
from journal_launcher.views.best import study_of
from journal_launcher.views.dashboard.shown import ShownStudies

__all__ = ["LOOPBACK", "PORT", "Guard", "make_dashboard"]

LOOPBACK = "127.0.0.1"
PORT = 8080
_HERE = ("localhost", "127.0.0.1", "::1")
_LOOKING = ("GET", "HEAD")

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Guard:
    """A WSGI application that lets through what may be asked of another one.

    A web page that the user has open elsewhere can send requests here too: what its browser calls
    this host gives it away.
    """

    def __init__(self, app: App, *, allow_writes: bool) -> None:
        self._app = app
        self._allow_writes = allow_writes

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        refused = self._refused(environ)
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # the other one stumbles without it
        if refused is None:
            return self._app(environ, start_response)
        status, reason = refused
        body = json.dumps({"reason": reason}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        headers += [("Allow", ", ".join(_LOOKING))] if status.startswith("405") else []
        start_response(status, headers)
        return [body]

    def _refused(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """(status, why) of a request that is not passed on."""
        host = environ.get("HTTP_HOST", "")
        if "@" in host or _name(f"//{host}") not in _HERE:
            return "403 Forbidden", f"expected localhost as host, found {host!r}"
        if ".." in environ.get("PATH_INFO", "").split("/"):
            return "404 Not Found", "no such page"
        if environ["REQUEST_METHOD"] in _LOOKING:
            return None
        if not self._allow_writes:
            return "405 Method Not Allowed", (
                "this dashboard only shows studies; to edit one, start it with --allow-writes"
            )
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and urlsplit(origin).netloc != host:
            return "403 Forbidden", f"expected a request of this dashboard, found one of {origin}"
        return None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing: a page asks every few seconds."""


def make_dashboard(
    studies: StudiesFolder,
    study: str | None,
    port: int | None,
    *,
    allow_writes: bool,
    say: Callable[[str], None],
) -> tuple[WSGIServer, str]:
    """(a server to be told `serve_forever`, the address to open).

    study: the one to show, of a comparison the one that won it; None is all of the folder. port:
    None is 8080, or any where that is taken. say: told of a study that cannot be shown.

    Raises:
        UsageError: no such study, no optuna-dashboard, or the port is taken.
        JournalDamagedError: the study's journal cannot be read.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        install = install_extra("dashboard", "optuna-dashboard")
        raise UsageError(f"dashboard needs optuna-dashboard: {install}") from None
    page = ""
    storage: BaseStorage
    if study is None:
        if allow_writes:
            raise UsageError("--allow-writes needs a STUDY: only one at a time is edited")
        storage = ShownStudies(studies, studies.names, say)
    else:
        paths = study_of(studies.study(study))
        storage = open_study(paths, read_only=not allow_writes).storage
        if not allow_writes:
            storage = ShownStudies(studies, lambda: [paths.name], say)
        page = f"/studies/{storage.get_study_id_from_name(paths.name)}"
    server = _listening(port, Guard(wsgi(storage), allow_writes=allow_writes))
    return server, f"http://{LOOPBACK}:{server.server_port}/dashboard{page}"


def _listening(port: int | None, app: App) -> WSGIServer:
    for wanted in (PORT, 0) if port is None else (port,):
        try:
            return make_server(LOOPBACK, wanted, app, _Server, _Quiet)
        except (OSError, OverflowError) as error:
            problem = error
    raise UsageError(
        f"--port {port}: expected a port that is free on {LOOPBACK} ({problem}); choose another"
    )
