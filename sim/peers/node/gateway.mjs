// A gateway as one writes it with plain Node: every request goes on to one upstream, piped both ways. One agent keeps
// its connections, as Node's documentation of http.Agent advises.

import cluster from "node:cluster";
import http from "node:http";
import { pipeline } from "node:stream";

const HOP = new Set([
  "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
  "upgrade", "host",
]);

function kept(headers) {
  const found = {};
  for (const name in headers) if (!HOP.has(name)) found[name] = headers[name];
  return found;
}

function option(name) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

function serve(listen, upstream) {
  const [host, port] = upstream.split(":");
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256 });
  const server = http.createServer((request, response) => {
    const asked = http.request(
      { agent, host, port, method: request.method, path: request.url, headers: kept(request.headers) },
      (answer) => {
        response.writeHead(answer.statusCode, kept(answer.headers));
        pipeline(answer, response, () => {});
      },
    );
    asked.setTimeout(15_000, () => asked.destroy());
    asked.on("error", () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end();
    });
    response.on("close", () => {
      if (!response.writableFinished) asked.destroy();
    });
    if (request.headers["content-length"] || request.headers["transfer-encoding"]) pipeline(request, asked, () => {});
    else asked.end();
  });
  server.keepAliveTimeout = 60_000;
  const [address, on] = listen.split(":");
  server.listen(Number(on), address);
}

const workers = Number(option("workers") ?? 1);
if (process.argv.includes("--version")) {
  console.log(`Node ${process.version}`);
} else if (workers > 1 && cluster.isPrimary) {
  for (let number = 0; number < workers; number += 1) cluster.fork();
} else {
  serve(option("listen"), option("upstream"));
}
