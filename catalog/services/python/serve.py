"""Functions as a small HTTP server, for services that are a library without one: JSON in, JSON out, and GET /health."""

import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

# The largest request body, in bytes: what the door lets through, unless it is told otherwise.
LARGEST = 32 * 2**20


class Refused(Exception):
    """What is wrong with a request, told to the client with this status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    body: bytes
    kind: str
    query: Mapping[str, str]

    def json(self) -> dict:
        """The body, which must be a JSON object."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refused(f"The body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise Refused("The body must be a JSON object.")
        return value


@dataclass(frozen=True)
class Raw:
    """An answer that is not JSON."""

    body: bytes
    kind: str


Routes = Mapping[str, Callable[[Request], object]]


def text(value: Mapping, name: str, default: str | None = None) -> str:
    """A text of a request's body; without a default it is needed."""
    found = value.get(name, default)
    if not isinstance(found, str) or found == "":
        raise Refused(f"{name} must be a text{'' if default is None else ', or left out'}.")
    return found


def serve(routes: Routes) -> None:
    """Answers `"POST /path"` with what its function returns, on HOST and PORT, until SIGTERM; what is under way may finish."""
    server = create_server(routes, os.environ["HOST"], int(os.environ["PORT"]))
    print(f"listening on {server.server_address[0]}:{server.server_port}", flush=True)
    # shutdown() waits for the loop, which the signal has interrupted: it must be called from elsewhere.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


def create_server(routes: Routes, host: str, port: int) -> ThreadingHTTPServer:
    known = {"GET /health": lambda _: {"status": "ok"}, **routes}

    class Handler(BaseHTTPRequestHandler):
        # HTTP/1.0, a connection for each request: one kept open would hold its thread, and with it the end of the process.
        # A client that stops in the middle of its request lets go of its thread, in seconds.
        timeout = 60

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_DELETE = do_GET

        def _answer(self) -> None:
            try:
                status, value = 200, self._call()
            except Refused as error:
                status, value = error.status, {"error": {"message": str(error), "type": "invalid_request_error"}}
            except Exception as error:
                # Whatever the library raises: the client is told what, the log where.
                traceback.print_exc()
                status, value = 500, {"error": {"message": f"{type(error).__name__}: {error}", "type": "server_error"}}
            raw = value if isinstance(value, Raw) else Raw(json.dumps(value).encode(), "application/json")
            self.send_response(status)
            self.send_header("Content-Type", raw.kind)
            self.send_header("Content-Length", str(len(raw.body)))
            self.end_headers()
            self.wfile.write(raw.body)

        def _call(self) -> object:
            url = urlsplit(self.path)
            body = self._body()
            route = known.get(f"{self.command} {url.path}")
            if route is None:
                raise Refused(f"There is no {self.command} {url.path}. Known here: {', '.join(known)}.", 404)
            return route(Request(body, self.headers.get("Content-Type", ""), dict(parse_qsl(url.query))))

        def _body(self) -> bytes:
            length = int(self.headers.get("Content-Length") or 0)
            if length > LARGEST or "Transfer-Encoding" in self.headers:
                if length > LARGEST:
                    raise Refused(f"The body is larger than {LARGEST} bytes.", 413)
                raise Refused("The length of the body must be said: send Content-Length.", 411)
            return self.rfile.read(length)

        def log_message(self, format: str, *args: object) -> None:
            """The door keeps the record of who asked what."""

    class Server(ThreadingHTTPServer):
        # Those under way are waited for when the server closes, not left behind.
        daemon_threads = False

    return Server((host, port), Handler)
