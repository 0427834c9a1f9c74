"""A gateway as one writes it with Flask: every request goes on to one upstream, a thread for each at a time.

A session of requests for each thread keeps its connections; gunicorn runs threads, as its documentation advises for
work that waits (a sync worker keeps no client's connection open).
"""

import argparse
import importlib.metadata
import os
import threading

from flask import Flask, Response, request

import requests
from requests.adapters import HTTPAdapter

HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
       "transfer-encoding", "upgrade", "host"}
THREADS = 64

app = Flask(__name__)
of_thread = threading.local()


def session():
    found = getattr(of_thread, "session", None)
    if found is None:
        found = of_thread.session = requests.Session()
        # The environment's proxies are none of a gateway's business, and looking for them costs time.
        found.trust_env = False
        found.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
    return found


def kept(headers):
    return [(name, value) for name, value in headers if name.lower() not in HOP]


@app.route("/", defaults={"path": ""}, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@app.route("/<path:path>", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def forward(path):
    url = os.environ["GATEWAY_UPSTREAM"] + request.full_path.removesuffix("?")
    answer = session().request(
        request.method, url, headers=dict(kept(request.headers.items())),
        data=request.get_data(cache=False) or None, stream=True, allow_redirects=False, timeout=15)
    body = answer.raw.stream(65536, decode_content=False)
    return Response(body, answer.status_code, kept(answer.raw.headers.items()), direct_passthrough=True)


def main():
    version = importlib.metadata.version
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=False)
    parser.add_argument("--upstream", required=False)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--version", action="store_true")
    given = parser.parse_args()
    if given.version:
        print(f"Flask {version('flask')}, requests {version('requests')}, gunicorn {version('gunicorn')}")
        return
    os.environ["GATEWAY_UPSTREAM"] = f"http://{given.upstream}"
    from gunicorn.app.base import BaseApplication

    class Gateway(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", given.listen)
            self.cfg.set("workers", given.workers)
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", THREADS)
            self.cfg.set("keepalive", 60)
            self.cfg.set("worker_connections", 1000)
            self.cfg.set("loglevel", "warning")

        def load(self):
            return app

    Gateway().run()


if __name__ == "__main__":
    main()
