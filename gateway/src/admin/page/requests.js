// Requests of note, as the flight recorder keeps them: the last failed and slow ones, and one of them with all that became
// of it.
"use strict";

const CHOICES = { "Failed or slow": "failed&slow", Failed: "failed", Slow: "slow", Retried: "retried", Sampled: "sampled" };
const REQUESTS_SHOWN = 50;

// What is chosen, and the ids that are drawn: rows stay where they are while nothing comes.
const noted = { choice: "Failed or slow", drawn: null };

const requestsAsked = () => `requests?${CHOICES[noted.choice]}&limit=${REQUESTS_SHOWN}`;
const micros = us => us === undefined ? "–" : time(us / 1e6);
// What ended in silence has not failed, whatever its caller was told.
const fellSilent = r => r.ended === "timeout" && r.code === "ok";
const failsInGrpc = r => r.fault !== "client" && !fellSilent(r) && FAILS_IN_GRPC.includes(String(r.grpc_status));
const failed = r => r.status >= 500 || (r.fault && r.fault !== "client") || failsInGrpc(r);
// How it went wrong, in a word or two; nothing of what did not.
const wrong = r => [r.code !== "ok" ? r.code : r.ended !== "complete" ? words(r.ended) : "", r.grpc_status ? "grpc-status " + r.grpc_status : ""].filter(Boolean).join(", ");

function showRequests({ requests, kept }) {
  by("kept").textContent = `${kept.requests.toLocaleString()} kept` + (kept.passed_over ? `, ${kept.passed_over.toLocaleString()} more passed over` : "");
  const ids = requests.map(r => r.request_id + r.ts).join();
  if (ids === noted.drawn) return;
  noted.drawn = ids;
  by("requests").replaceChildren(...requests.map(r => {
    const tr = row(["", r.status, [wrong(r), failed(r) ? "bad" : ""], number(micros(r.total_us)), r.route ?? "–", [`${r.method ?? ""} ${r.path ?? ""}`, "wraps"], r.upstream ?? "–", r.attempts, [r.kinds.join(", "), "quiet"]], failed(r) ? "failing" : "");
    const button = make("button", new Date(r.ts).toLocaleTimeString([], { hour12: false }));
    button.type = "button";
    button.title = r.request_id;
    button.addEventListener("click", () => openRequest(r.request_id));
    tr.firstChild.append(button);
    return tr;
  }));
  by("no-requests").hidden = requests.length > 0;
}

by("choices").append(...Object.keys(CHOICES).map(name => {
  const button = make("button", name);
  button.type = "button";
  button.setAttribute("aria-pressed", String(name === noted.choice));
  button.addEventListener("click", async () => {
    noted.choice = name;
    noted.drawn = null;
    for (const it of by("choices").children) it.setAttribute("aria-pressed", String(it === button));
    try {
      showRequests(await json(requestsAsked()));
    } catch (error) {
      if (error instanceof Unauthorized) askForToken();
    }
  });
  return button;
}));

// ---- One of them

// [what, from, to, style], microseconds from the head's last byte.
function spans(r) {
  const shown = [["the whole request", 0, r.total_us, failed(r) ? "bad" : ""]];
  for (const x of r.exchanges) {
    const good = x.outcome === "ok";
    shown.push([`${x.part ? x.part + ": " : ""}${x.upstream} at ${x.endpoint}${x.backup ? " (backup)" : ""}: ${words(x.outcome)}${x.status ? " " + x.status : ""}${x.grpc_status === undefined ? "" : " grpc-status " + x.grpc_status}${x.replayed ? ", sent again on a new connection" : ""}, breaker ${words(x.breaker)}`, x.start_us, x.end_us, good ? "good" : x.outcome === "cancelled" ? "quiet" : "bad"]);
  }
  if (r.times_us.answered !== undefined) shown.push(["the answer's body", r.times_us.answered, r.total_us, ""]);
  return shown;
}

function bar([what, from, to, style], whole) {
  const li = make("li"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  svg.setAttribute("viewBox", "0 0 100 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  rect.setAttribute("x", Math.min(99.5, 100 * from / whole));
  rect.setAttribute("width", Math.max(.5, 100 * (to - from) / whole));
  rect.setAttribute("height", 1);
  if (style) rect.setAttribute("class", style);
  svg.append(rect);
  li.append(make("span", what, "told"), make("span", `${micros(from)} + ${micros(to - from)}`, "quiet"), svg);
  return li;
}

// Names and what is said of them, those that are there.
function facts(r) {
  const list = part => part?.headers.map(h => h.more ? "…" : h.value === undefined ? h.name : `${h.name}: ${h.value}`).join(", ");
  const identity = [r.identity.result, r.auth, r.subject, r.identity.provider && "by " + r.identity.provider, r.identity.scopes?.join(" ")];
  const said = [
    ["Asked", [r.method, r.host, r.path, r.protocol].filter(Boolean).join(" ") + " by " + r.client],
    ["Route", r.route ?? "none"],
    ["Answer", `${r.status} ${r.code}${r.grpc_status === undefined ? "" : ", grpc-status " + r.grpc_status}, ${words(r.ended)}` + (r.fault ? `, fault of the ${r.fault}` : "")],
    ["Cause", r.cause],
    ["Missing parts", r.missing_parts?.map(p => `${p.part}: ${words(p.result)}${p.in_its_place ? `, ${p.in_its_place} in its place` : ""}${p.why ? ". " + p.why : ""}`).join("\n")],
    ["Shared call", r.shared_call],
    ["Identity", identity.filter(Boolean).join(", ")],
    ["Limits", r.limits.map(l => `${l.rule}: ${words(l.decision)}${l.remaining === undefined ? "" : `, ${l.remaining} left`}`).join("; ")],
    ["Bytes", `${r.bytes_in.toLocaleString()} in, ${r.bytes_out.toLocaleString()} out`],
    ["Trace", r.trace_id],
    ["Received", list(r.received)],
    ["Sent on" + (r.sent?.part ? ` for ${r.sent.part}` : ""), list(r.sent)],
    ["Answered", list(r.answered)],
    ["Other routes", r.routing.misses.slice(0, 5).map(m => `${m.route}: ${m.reason}`).join("\n")],
  ];
  return said.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", name), make("dd", value)]);
}

async function openRequest(id) {
  try {
    const r = await json("requests/" + encodeURI(id));
    const whole = Math.max(1, r.total_us);
    by("request-name").textContent = "Request " + r.request_id;
    by("timeline").replaceChildren(...spans(r).map(it => bar(it, whole)));
    by("facts-of-request").replaceChildren(...facts(r));
  } catch (error) {
    if (error instanceof Unauthorized) return askForToken();
    by("request-name").textContent = String(error.message);
    by("timeline").replaceChildren();
    by("facts-of-request").replaceChildren();
  }
  by("request").hidden = false;
  by("request-name").focus();
  by("request").scrollIntoView({ block: "nearest" });
}
by("close-request").addEventListener("click", () => { by("request").hidden = true; });
