"""FAISS over HTTP: flat indexes with ids of their own, one file each.

    GET    /health                     {"status": "ok"}
    GET    /indexes                    {"indexes": [{"name", "dimension", "metric", "count"}]}
    PUT    /indexes/NAME               {"dimension": 384, "metric": "ip" | "l2"}    as it is where it is there already
    POST   /indexes/NAME/add           {"ids": [1], "vectors": [[...]]}             replaces what has the same id
    POST   /indexes/NAME/search        {"vectors": [[...]], "k": 10}                {"results": [[{"id", "score"}]]}
    POST   /indexes/NAME/remove        {"ids": [1]}                                 {"removed": 1}
    DELETE /indexes/NAME

Errors are {"error": "..."} with 400, 404, 409 or 413. A change is on the disk before it is answered.
"""

import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import faiss
import numpy as np

METRICS = {"ip": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_BYTES = 64 * 2**20
MOST_DIMENSIONS = 65_536
MOST_RESULTS = 10_000


class Refused(Exception):
    """A request that cannot be done, with its status."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Shelf:
    """The indexes of a folder. FAISS reads beside itself, but not beside a change: one lock for each."""

    def __init__(self, folder: str):
        self.folder = folder
        self.lock = threading.Lock()
        self.indexes: dict[str, faiss.Index] = {}
        for file in os.listdir(folder):
            if file.endswith(".faiss"):
                self.indexes[file[: -len(".faiss")]] = faiss.read_index(os.path.join(folder, file))

    def find(self, name: str) -> faiss.Index:
        if name not in self.indexes:
            raise Refused(404, f"no index is called {name}")
        return self.indexes[name]

    def describe(self, name: str) -> dict:
        index = self.indexes[name]
        metric = "ip" if index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"
        return {"name": name, "dimension": index.d, "metric": metric, "count": index.ntotal}

    def keep(self, name: str, index: faiss.Index) -> None:
        """Written whole before it takes the old one's place, and only then shown: a full disk changes nothing."""
        path = os.path.join(self.folder, f"{name}.faiss")
        faiss.write_index(index, f"{path}.new")
        os.replace(f"{path}.new", path)
        self.indexes[name] = index

    def make(self, name: str, body: dict) -> dict:
        dimension, metric = body.get("dimension"), body.get("metric", "ip")
        if not isinstance(dimension, int) or not 1 <= dimension <= MOST_DIMENSIONS:
            raise Refused(400, f"dimension must be a whole number from 1 to {MOST_DIMENSIONS}")
        if metric not in METRICS:
            raise Refused(400, "metric must be ip or l2")
        with self.lock:
            if name in self.indexes:
                known = self.describe(name)
                if (known["dimension"], known["metric"]) != (dimension, metric):
                    raise Refused(409, f"{name} is there with other settings")
                return known
            self.keep(name, faiss.IndexIDMap2(faiss.IndexFlat(dimension, METRICS[metric])))
            return self.describe(name)

    def add(self, name: str, body: dict) -> dict:
        ids = ids_in(body)
        with self.lock:
            index = self.find(name)
            vectors = vectors_in(body, index.d)
            if len(ids) != len(vectors):
                raise Refused(400, f"{len(ids)} ids for {len(vectors)} vectors")
            if len(set(ids.tolist())) != len(ids):
                raise Refused(400, "an id stands there twice")
            changed = faiss.clone_index(index)
            changed.remove_ids(ids)
            changed.add_with_ids(vectors, ids)
            self.keep(name, changed)
            return self.describe(name)

    def remove(self, name: str, body: dict) -> dict:
        ids = ids_in(body)
        with self.lock:
            changed = faiss.clone_index(self.find(name))
            removed = int(changed.remove_ids(ids))
            self.keep(name, changed)
            return {"removed": removed}

    def search(self, name: str, body: dict) -> dict:
        k = body.get("k", 10)
        if not isinstance(k, int) or not 1 <= k <= MOST_RESULTS:
            raise Refused(400, f"k must be a whole number from 1 to {MOST_RESULTS}")
        # A change makes an index of its own: this one stays as it is for as long as it is looked through.
        index = self.find(name)
        scores, ids = index.search(vectors_in(body, index.d), k)
        rows = zip(ids.tolist(), scores.tolist())
        return {"results": [[{"id": i, "score": s} for i, s in zip(*row) if i >= 0] for row in rows]}

    def drop(self, name: str) -> None:
        with self.lock:
            self.find(name)
            os.remove(os.path.join(self.folder, f"{name}.faiss"))
            del self.indexes[name]


def ids_in(body: dict) -> np.ndarray:
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(isinstance(one, int) and 0 <= one < 2**63 for one in ids):
        raise Refused(400, "ids must be a list of whole numbers from 0 on")
    return np.array(ids, dtype="int64")


def vectors_in(body: dict, dimension: int) -> np.ndarray:
    try:
        vectors = np.array(body.get("vectors"), dtype="float32")
    except (TypeError, ValueError):
        raise Refused(400, "vectors must be lists of numbers of the same length") from None
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise Refused(400, f"vectors must be lists of {dimension} numbers")
    if not np.isfinite(vectors).all():
        raise Refused(400, "vectors must be of finite numbers")
    return vectors


def handler_of(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer()

        do_PUT = do_POST = do_DELETE = do_GET

        def answer(self):
            try:
                status, value = self.act(self.body())
            except Refused as refused:
                status, value = refused.status, {"error": str(refused)}
            except OSError as error:
                status, value = 500, {"error": str(error)}
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def body(self) -> dict:
            length = int(self.headers.get("content-length") or 0)
            if length > MOST_BYTES or self.headers.get("transfer-encoding"):
                self.close_connection = True
                raise Refused(413, f"a body must say its length, of {MOST_BYTES} bytes at most")
            text = self.rfile.read(length)
            try:
                value = json.loads(text) if text else {}
            except ValueError:
                raise Refused(400, "the body is not JSON") from None
            if not isinstance(value, dict):
                raise Refused(400, "the body must be an object")
            return value

        def act(self, body: dict) -> tuple[int, dict]:
            parts = self.path.split("?")[0].strip("/").split("/")
            if (self.command, parts) == ("GET", ["health"]):
                return 200, {"status": "ok"}
            if (self.command, parts) == ("GET", ["indexes"]):
                return 200, {"indexes": [shelf.describe(name) for name in sorted(shelf.indexes)]}
            if parts[0] != "indexes" or len(parts) < 2:
                raise Refused(404, f"there is no {self.command} {self.path}")
            name, asked = parts[1], (self.command, *parts[2:])
            if not NAME.fullmatch(name):
                raise Refused(400, "a name is up to 64 letters, digits, - and _")
            if asked == ("PUT",):
                return 200, shelf.make(name, body)
            if asked == ("DELETE",):
                shelf.drop(name)
                return 200, {"dropped": name}
            verbs = {("POST", "add"): shelf.add, ("POST", "search"): shelf.search, ("POST", "remove"): shelf.remove}
            if asked not in verbs:
                raise Refused(404, f"there is no {self.command} {self.path}")
            return 200, verbs[asked](name, body)

        def log_message(self, format, *args):
            """Requests are logged at the door."""

    return Handler


def main() -> None:
    host, port, folder = sys.argv[1:]
    faiss.omp_set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    server = ThreadingHTTPServer((host, int(port)), handler_of(Shelf(folder)))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
