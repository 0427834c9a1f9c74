"""A gateway as one writes it with FastAPI: every request goes on to one upstream, streamed both ways.

The client is made once and shared, its pool is as large as its load, as httpx's and aiohttp's documentation advises;
uvicorn runs it on uvloop and httptools, without an access log.
"""

import argparse
import importlib.metadata
import os
from contextlib import asynccontextmanager

HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
       "transfer-encoding", "upgrade", "host"}
# As many as clients ask at once: httpx 0.28 looks through all connections of its pool for each of them at each request
# (encode/httpcore#1035).
POOL = 64


def kept(headers):
    return [(name, value) for name, value in headers if name.lower() not in HOP]


def with_httpx(upstream):
    import httpx
    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse

    @asynccontextmanager
    async def lifespan(app):
        limits = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL)
        async with httpx.AsyncClient(base_url=upstream, limits=limits, timeout=15.0) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def forward(path: str, request: Request):
        client = request.app.state.client
        url = httpx.URL(str(request.url.replace(scheme="", netloc="")))
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        sent = client.build_request(
            request.method, url, headers=kept(request.headers.items()),
            content=request.stream() if has_body else None)
        answer = await client.send(sent, stream=True)
        headers = dict(kept(answer.headers.items()))

        async def body():
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        return StreamingResponse(body(), answer.status_code, headers)

    return app


def with_aiohttp(upstream):
    import aiohttp
    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse
    from yarl import URL

    @asynccontextmanager
    async def lifespan(app):
        connector = aiohttp.TCPConnector(limit=POOL)
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            app.state.session = session
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def forward(path: str, request: Request):
        url = request.scope["raw_path"].decode()
        if request.url.query:
            url += "?" + request.url.query
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        answer = await request.app.state.session.request(
            request.method, URL(upstream + url, encoded=True), headers=kept(request.headers.items()),
            data=request.stream() if has_body else None, allow_redirects=False)

        async def body():
            try:
                async for piece in answer.content.iter_any():
                    yield piece
            finally:
                answer.release()

        return StreamingResponse(body(), answer.status, dict(kept(answer.headers.items())))

    return app


CLIENTS = {"httpx": with_httpx, "aiohttp": with_aiohttp}


def app():
    """What uvicorn's workers call."""
    return CLIENTS[os.environ["GATEWAY_CLIENT"]](os.environ["GATEWAY_UPSTREAM"])


def main():
    version = importlib.metadata.version
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", choices=sorted(CLIENTS), required=True)
    parser.add_argument("--listen", required=False)
    parser.add_argument("--upstream", required=False)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--version", action="store_true")
    given = parser.parse_args()
    if given.version:
        print(f"FastAPI {version('fastapi')}, {given.client} {version(given.client)}, uvicorn {version('uvicorn')}")
        return
    import uvicorn
    os.environ["GATEWAY_CLIENT"] = given.client
    os.environ["GATEWAY_UPSTREAM"] = f"http://{given.upstream}"
    host, port = given.listen.rsplit(":", 1)
    uvicorn.run("fastapi_gateway:app", factory=True, host=host, port=int(port), workers=given.workers,
                loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
