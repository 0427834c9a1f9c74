// What happened, as it happens: the gateway's events, newest first. One stream, which begins with the last ones that the
// gateway has kept, and goes on where it broke off.
"use strict";

const EVENTS_KEPT = 500;
const EVENTS_SHOWN = 200;
const GROUPS = {
  Everything: null,
  Endpoints: ["breaker", "ejection", "backup", "health", "discovery"],
  Configuration: ["reload", "drain", "clock_step", "client_unknown", "start", "admin"],
  Load: ["shed", "store", "tracing", "log", "missed"],
  "Keys and TLS": ["keys", "issuer", "handshake", "certificate"],
};

// Events, oldest first; the number of the last; the start of the process that told them; how its clock reads.
const feed = { events: [], last: null, started: null, clock: null, group: "Everything", stop: null, drawing: false };

// ---- In words

const where = e => [e.upstream, e.endpoint, e.route && "for route " + e.route].filter(Boolean).join(" ");
const words = name => String(name).replaceAll("_", " ");
const named = kids => kids.map(kid => kid || "one without a name").join(", ");
const STATES = { open: "bad", half_open: "warn", closed: "good" };

// [style, text] of an event.
const TOLD = {
  breaker: e => [STATES[e.to] ?? "quiet", `${where(e)}: breaker ${words(e.from)} → ${words(e.to)}` +
    (e.endpoint ? `, ${words(e.cause)}` : ", of all its endpoints together") +
    (e.failure ? `: ${e.failure}` : "") + (e.endpoints ? ": " + e.endpoints.join("; ") : "") +
    (e.window?.requests ? ` (${e.window.failures} of ${e.window.requests} failed${e.window.slow ? `, ${e.window.slow} slow` : ""})` : "")],
  ejection: e => e.ejected ? ["bad", `${where(e)}: gets nothing any more, ${words(e.reason)}`]
    : e.capped ? ["warn", `${where(e)}: should get nothing, but too few would be left: ${words(e.reason)}`]
    : ["good", `${where(e)}: gets its part again, ${words(e.reason)}`],
  backup: e => (e.to === "primaries" ? ["good", `${where(e)}: its own endpoints take the requests again`]
    : ["bad", `${where(e)}: backups take ${e.to === "both" ? "requests too, too few others are well" : "the requests"}: ${(e.endpoints ?? []).join("; ")}`]),
  health: e => [e.healthy ? "good" : "bad", `${where(e)}: health checks ${e.healthy ? "pass" : "fail"}: ${e.detail}`],
  reload: e => e.ok ? ["good", `configuration ${e.version} is in force, asked for by ${e.cause}` + (e.problems.length ? ": " + e.problems.join("\n") : "")]
    : ["bad", `configuration refused, asked for by ${e.cause}; version ${e.version} stays in force\n` + e.problems.join("\n")],
  drain: () => ["warn", "a drain began: no new connections"],
  shed: e => [e.active ? "bad" : "good", (e.upstream ? e.upstream + ": " : "") + (e.active ? "requests are turned away" : `nothing is turned away any more, ${e.refused} were`) + `: ${words(e.reason)}`],
  store: e => [e.mode === "degraded" ? "bad" : "good", `store ${e.store}: ${e.mode}` + (e.reason ? `, ${e.reason}` : "")],
  discovery: e => e.failing ? ["bad", `${e.upstream}: its name cannot be resolved: ${e.detail}`] : ["good", `${e.upstream}: its name can be resolved again`],
  tracing: e => e.failing ? ["bad", `traces: the collector does not take all spans: ${e.detail}`] : ["good", "traces: the collector takes all spans again"],
  issuer: e => e.failing ? ["bad", `${e.provider}: its issuer does not say whether tokens hold: ${e.detail}`] : ["good", `${e.provider}: its issuer answers again`],
  certificate: e => {
    const what = e.certificate ? `the certificate of ${e.certificate}` : `the revocation list of ${e.revocation_list}`;
    return e.expires_in ? ["warn", `${e.listener}: ${what} ends in ${span(e.expires_in)}`] : ["bad", `${e.listener}: ${what} has ended, ${e.certificate ? "clients refuse it" : "none of its clients is let in"}`];
  },
  log: e => e.failing ? ["bad", `the access log (${e.output}) cannot be written: ${e.detail}`] : ["good", "the access log can be written again"],
  clock_step: e => ["warn", `the machine's clock was set ${e.stepped_ms < 0 ? "back" : "forward"} by ${span(Math.round(Math.abs(e.stepped_ms) / 1000))}`],
  client_unknown: e => ["warn", e.detail],
  handshake: e => ["warn", `${e.listener}: a TLS handshake of ${e.client} failed, ${words(e.result)}: ${e.detail}` + (e.untold ? ` (and ${e.untold} before it)` : "")],
  keys: e => e.what === "stale" ? ["warn", `keys of ${e.provider}: can be fetched no more, and are used on`]
    : e.what === "rotate" ? ["good", `keys of ${e.provider}: now ${e.kids.join(", ") || "without names"}` + (e.came.length ? `; came: ${named(e.came)}` : "") + (e.went.length ? `; went: ${named(e.went)}` : "") + (e.left_out.length ? `; not used: ${e.left_out.join("; ")}` : "")]
    : [e.ok ? "quiet" : "bad", `keys of ${e.provider}: ${e.ok ? "fetched" : "could not be fetched: " + e.detail}`],
  admin: e => [e.result === "done" ? "quiet" : "warn", `${words(e.action)} was asked for by ${e.client ?? "somebody"} (${e.who}): ${words(e.result)}; ${e.target}` +
    (e.untold ? ` (and ${e.untold} before it that were not let through)` : "")],
  missed: e => ["warn", `${e.events} events were told faster than this page could read`],
  start: () => ["warn", "another process of the gateway answers: it was started anew"],
};

// When it was, by the clock of the gateway's machine as this page knows it.
function momentOf(e) {
  const { monotonic_ns, unix_us } = feed.clock;
  return new Date((unix_us - (monotonic_ns - e.ts_ns) / 1000) / 1000);
}

function line(e) {
  const [style, text] = (TOLD[e.kind] ?? (it => ["quiet", JSON.stringify(it)]))(e);
  const li = make("li"), when = make("time", "", "quiet"), moment = momentOf(e);
  const today = moment.toDateString() === new Date().toDateString();
  when.textContent = today ? moment.toLocaleTimeString([], { hour12: false }) : moment.toLocaleString([], { hour12: false });
  when.dateTime = moment.toISOString();
  when.title = when.dateTime;
  li.append(when, make("span", e.kind, "kind"), make("span", text + (e.times ? ` (${e.times} times in a row)` : ""), "told " + style));
  return li;
}

function drawFeed() {
  feed.drawing = false;
  if (!feed.clock) return;
  const kinds = GROUPS[feed.group], chosen = feed.events.filter(e => !kinds || kinds.includes(e.kind));
  const lines = chosen.slice(-EVENTS_SHOWN).reverse().map(line);
  by("feed").replaceChildren(...(lines.length ? lines : [make("li", kinds ? "Nothing of this kind yet." : "Nothing yet.", "quiet")]));
}
function redrawFeed() {
  if (feed.drawing) return;
  feed.drawing = true;
  // Not by frames: a page that nobody looks at has none, and is to be right when somebody does.
  setTimeout(drawFeed, 50);
}

by("groups").append(...Object.keys(GROUPS).map(name => {
  const button = make("button", name);
  button.type = "button";
  button.setAttribute("aria-pressed", String(name === feed.group));
  button.addEventListener("click", () => {
    feed.group = name;
    for (const it of by("groups").children) it.setAttribute("aria-pressed", String(it === button));
    drawFeed();
  });
  return button;
}));

// ---- The stream

// What is said again and again, as by keys that cannot be fetched, takes one line: how often, and when it was last.
const saidIn = ({ ts_ns, times, ...rest }) => JSON.stringify(rest);
function take(e) {
  const before = feed.events.at(-1);
  if (before && saidIn(before) === saidIn(e)) feed.events.splice(-1, 1, { ...e, times: (before.times ?? 1) + 1 });
  else feed.events.push(e);
  if (feed.events.length > EVENTS_KEPT) feed.events.shift();
  redrawFeed();
}

// One event as it was sent: lines of `name: value` (WHATWG HTML, section 9.2.6).
function takeBlock(block) {
  let data = "";
  for (const text of block.split("\n")) {
    if (text.startsWith("data: ")) data = text.slice(6);
    else if (text.startsWith("id: ")) feed.last = Number(text.slice(4));
  }
  if (data) take(JSON.parse(data));
}

async function readStream(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(takeBlock);
  }
}

// `fetch` and not `EventSource`, which cannot send a token.
async function follow() {
  const stop = feed.stop = new AbortController();
  for (let pause = 1000; !stop.signal.aborted; pause = Math.min(pause * 2, 10000)) {
    try {
      const from = feed.last === null ? "last=" + EVENTS_KEPT : "after=" + feed.last;
      const headers = token === null ? {} : { authorization: "Bearer " + token };
      const answer = await fetch("events?" + from, { headers, cache: "no-store", signal: stop.signal });
      // Whoever asks for the rest of the page deals with a token that is missing.
      if (answer.status === 401) return;
      if (answer.ok) {
        by("feed-state").textContent = "live";
        pause = 500;
        await readStream(answer);
      }
    } catch { /* It broke off: once more, a little later. */ }
    by("feed-state").textContent = "not connected";
    await new Promise(done => setTimeout(done, pause));
  }
}

// What the gateway said of itself at a look: begins to follow, and begins anew where it is another process.
function keepFollowing(status) {
  const { clock } = status, first = feed.clock === null;
  feed.clock = clock;
  if (feed.started === clock.started_ns && feed.stop && !feed.stop.signal.aborted) return;
  if (feed.started !== null && feed.started !== clock.started_ns) {
    feed.stop?.abort();
    feed.last = null;
    // What has come of the new one already is asked for again.
    feed.events = feed.events.filter(event => event.ts_ns < clock.started_ns);
    take({ kind: "start", ts_ns: clock.started_ns });
  }
  feed.started = clock.started_ns;
  follow();
  if (first) redrawFeed();
}
function stopFollowing() {
  feed.stop?.abort();
}
