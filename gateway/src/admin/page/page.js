// The admin page. It carries no data: it asks the API for all of it, with the token where one is needed. Whatever comes
// is shown as text, never as markup.
"use strict";

const MOST_ROUTES = 500;
const PROBLEMS_SHOWN = 3;
const LOOKS_KEPT = 120;
const PLACE = "portcullis-admin-token";
// Codes of answers that broke off behind a head that was good, and of those that came too late.
const BREAKS_OFF = ["upstream_reset", "upstream_invalid", "upstream_timeout", "internal"];
const OUT_OF_TIME = ["upstream_timeout", "connect_timeout", "overloaded"];
// Statuses of gRPC that speak of a failure, as the alert GrpcCallsFail has them: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL,
// UNAVAILABLE, DATA_LOSS.
const FAILS_IN_GRPC = ["2", "4", "13", "14", "15"];
const by = id => document.getElementById(id);

// ---- Asking

let token = sessionStorage.getItem(PLACE);
let needed = false;

async function ask(path, method = "GET") {
  const headers = token === null ? {} : { authorization: "Bearer " + token };
  const answer = await fetch(path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (answer.status === 401) throw new Unauthorized();
  return answer;
}
class Unauthorized extends Error {}

async function get(path) {
  const answer = await ask(path);
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? path + " answers " + answer.status);
  }
  return answer;
}
const json = path => get(path).then(answer => answer.json());

function askForToken() {
  needed = true;
  by("wrong").hidden = token === null;
  sessionStorage.removeItem(PLACE);
  token = null;
  stopFollowing();
  document.body.className = "";
  for (const id of ["main", "links", "reload", "forget"]) by(id).hidden = true;
  by("enter").hidden = false;
  by("facts").textContent = "";
  pill("locked", "warn");
  by("token").focus();
}

by("enter").addEventListener("submit", event => {
  event.preventDefault();
  // What a header cannot carry is no token.
  const given = by("token").value.trim();
  by("token").value = "";
  token = /^[\x21-\x7e]+$/.test(given) ? given : "-";
  sessionStorage.setItem(PLACE, token);
  look();
});
by("forget").addEventListener("click", () => {
  sessionStorage.removeItem(PLACE);
  location.reload();
});

// ---- Showing

function make(tag, text = "", style = "") {
  const it = document.createElement(tag);
  it.textContent = text;
  if (style) it.className = style;
  return it;
}
function row(cells, style = "") {
  const tr = make("tr", "", style);
  for (const cell of cells) tr.append(cell instanceof Node ? cell : Array.isArray(cell) ? make("td", ...cell) : make("td", cell, typeof cell === "number" ? "number" : ""));
  return tr;
}
function pill(text, style) {
  by("state").textContent = text;
  by("state").className = "pill " + style;
}
const span = s => s < 120 ? s + " s" : s < 7200 ? Math.floor(s / 60) + " min" : s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
// The first look has nothing to compare with.
const rate = r => r === undefined ? "…" : r === 0 || r >= 10 ? r.toFixed(0) : r.toFixed(1);
function time(seconds) {
  if (seconds === undefined) return "–";
  if (seconds === Infinity) return "beyond scale";
  const ms = seconds * 1000;
  return ms >= 1000 ? seconds.toFixed(1) + " s" : ms >= 10 ? ms.toFixed(0) + " ms" : ms >= 1 ? ms.toFixed(1) + " ms" : (ms * 1000).toFixed(0) + " µs";
}

// A line of the last looks, from 0 to the largest of them.
function sparkline(values, style) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const top = Math.max(...values.filter(Number.isFinite), 1e-9);
  // It fills up at first, then moves on.
  const across = Math.max(30, values.length - 1);
  let d = "", drawing = false;
  values.forEach((value, at) => {
    if (!Number.isFinite(value)) { drawing = false; return; }
    const x = 100 - (values.length - 1 - at) * 100 / across;
    d += (drawing ? "L" : "M") + x.toFixed(2) + " " + (20 - 20 * value / top).toFixed(2);
    drawing = true;
  });
  path.setAttribute("d", d);
  if (style) path.setAttribute("class", style);
  svg.append(path);
  return svg;
}
function tile(name, value, note, bad, values) {
  const it = make("div", "", bad ? "tile bad" : "tile");
  it.append(make("div", name, "name"), make("div", value, "value"), make("div", note, "note"));
  if (values) it.append(sparkline(values, bad ? "bad" : ""));
  return it;
}

// ---- What a metric did since the last look

// Samples of one family: [labels, value].
function samples(text, family) {
  return text.split("\n").filter(line => line.startsWith(family + "{")).map(line => {
    const labels = {};
    for (const [, name, value] of line.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
    return [labels, Number(line.slice(line.lastIndexOf("} ") + 2).split(" ")[0])];
  });
}

let before = new Map();
function changes(text) {
  const now = performance.now(), next = new Map([["at", now]]), all = new Map();
  const codes = new Map(), first = !before.size, seconds = (now - (before.get("at") ?? now)) / 1000;
  // A counter that went back began anew, with the process.
  const since = (key, value) => { next.set(key, value); const old = before.get(key) ?? 0; return first ? 0 : value < old ? value : value - old; };
  const of = name => { if (!all.has(name)) all.set(name, { rate: 0, failed: 0, total: 0, failing: {}, buckets: new Map() }); return all.get(name); };
  const fail = (name, failure, more) => {
    const one = seconds > 0 ? more / seconds : 0, it = of(name);
    if (failure && one > 0) { it.failed += one; it.failing[failure] = (it.failing[failure] ?? 0) + one; }
  };
  const count = (name, failure, more) => {
    of(name).rate += seconds > 0 ? more / seconds : 0;
    fail(name, failure, more);
  };
  // What runs out of the time that its own client gave it is no failure of the route: so many of a code that says so.
  const spared = new Map();
  for (const [l, value] of samples(text, "gateway_client_deadlines_total")) spared.set(l.route, since("spared|" + l.route, value));
  // Of calls that break off, or that the gateway answers itself, callers of gRPC are told so in a status of their own:
  // that is one failure, and none where it was spared.
  const broken = new Map();
  for (const [l, value] of samples(text, "gateway_requests_total")) {
    const more = since(["request", l.route, l.status_class, l.code].join("|"), value);
    const isBroken = l.status_class !== "5xx" && BREAKS_OFF.includes(l.code);
    const isTold = l.status_class === "5xx" && l.code !== "ok";
    if (isBroken || isTold) broken.set(l.route, (broken.get(l.route) ?? 0) + more);
    const failure = l.status_class === "5xx" ? (l.code === "ok" ? "upstream's 5xx" : l.code) : isBroken ? l.code + " behind its head" : null;
    const free = l.status_class === "5xx" && OUT_OF_TIME.includes(l.code) ? Math.min(more, spared.get(l.route) ?? 0) : 0;
    if (free) spared.set(l.route, spared.get(l.route) - free);
    for (const name of ["all", "route " + l.route]) { count(name, failure, more - free); count(name, null, free); }
    if (value === 0) continue;
    const name = `code ${l.code} ${l.status_class}`, it = codes.get(name) ?? { code: l.code, status: l.status_class, total: 0, routes: [], everSince: [] };
    it.total += value;
    it.everSince.push([l.route, value]);
    if (more > 0) it.routes.push([l.route, more]);
    codes.set(name, it);
    count(name, failure, more - free);
    count(name, null, free);
  }
  for (const [l, value] of samples(text, "gateway_grpc_answers_total").filter(([l]) => FAILS_IN_GRPC.includes(l.grpc_status))) {
    const more = since(["grpc", l.route, l.grpc_status].join("|"), value), known = Math.min(more, broken.get(l.route) ?? 0);
    broken.set(l.route, (broken.get(l.route) ?? 0) - known);
    for (const name of ["all", "route " + l.route]) fail(name, "grpc-status " + l.grpc_status, more - known);
  }
  for (const [l, value] of samples(text, "gateway_limit_decisions_total"))
    count(`limit ${l.rule} ${l.decision}`, null, since(["limit", l.rule, l.decision].join("|"), value));
  for (const [l, value] of samples(text, "gateway_upstream_attempts_total"))
    count("upstream " + l.upstream, l.outcome === "ok" || l.outcome === "cancelled" ? null : l.outcome, since(["attempt", l.upstream, l.outcome].join("|"), value));
  const histogram = (family, label, names) => {
    for (const [l, value] of samples(text, family + "_bucket")) {
      const more = since([family, l[label], l.le].join("|"), value);
      for (const name of names(l[label])) { const { buckets } = of(name); buckets.set(l.le, (buckets.get(l.le) ?? 0) + more); }
    }
  };
  histogram("gateway_request_duration_seconds", "route", route => ["all", "route " + route]);
  histogram("gateway_upstream_duration_seconds", "upstream", upstream => ["upstream " + upstream]);
  histogram("gateway_overhead_seconds", "route", () => ["overhead"]);
  before = next;
  const look = name => first ? { failing: {}, buckets: new Map() } : of(name);
  look.codes = codes;
  return look;
}

// As Prometheus' histogram_quantile: linear within a bucket. Undefined where nothing happened.
function quantile(it, q) {
  const buckets = [...it.buckets].map(([le, n]) => [le === "+Inf" ? Infinity : Number(le), n]).sort((a, b) => a[0] - b[0]);
  const total = buckets.at(-1)?.[1] ?? 0;
  if (!total) return undefined;
  let low = 0, below = 0;
  for (const [le, n] of buckets) {
    if (n >= q * total) return le === Infinity ? Infinity : low + (le - low) * (q * total - below) / Math.max(n - below, 1e-9);
    [low, below] = [le, n];
  }
  return Infinity;
}

// ---- The page

const looks = { rate: [], failed: [], p99: [], overhead: [], inFlight: [], connections: [] };
function remember(series, value) {
  looks[series].push(Number.isFinite(value) ? value : NaN);
  if (looks[series].length > LOOKS_KEPT) looks[series].shift();
  return looks[series];
}
const failing = it => { const kinds = Object.entries(it.failing).sort((a, b) => b[1] - a[1]); return kinds.length ? [kinds.map(([kind, r]) => kind + " " + rate(r)).join(", "), "bad"] : ["–", "quiet"]; };
const number = text => [text, "number"];
// Whether an endpoint gets its part, and why not. One that is sick and yet kept in is sick all the same; of one whose
// breaker waits for a request nobody knows.
const silent = e => e.unanswered && e.unanswered.for_ms >= 5000 ? [`no answer for ${span(Math.floor(e.unanswered.for_ms / 1000))}${e.unanswered.clients_left ? `, ${e.unanswered.clients_left} client${e.unanswered.clients_left === 1 ? "" : "s"} left` : ""}`] : [];
const against = e => [...e.reasons, ...silent(e)];
const waits = e => e.breaker === "half_open" && e.reasons.length === 1;
const standing = e => e.balancing === "in" && !against(e).length ? "quiet" : e.balancing === "in" || waits(e) ? "warn" : "bad";
function place(e) {
  const td = make("td", e.balancing, against(e).length ? "wraps " + standing(e) : standing(e));
  if (against(e).length) td.append(make("span", ": " + against(e).join(": "), "reason"));
  return td;
}
// The same on a line of its own, for screens on which the column has no room.
function because(e, style) {
  if (!against(e).length) return [];
  const tr = make("tr", "", "because " + style), td = make("td");
  td.colSpan = 11;
  td.append(make("div", against(e).join("; "), standing(e)));
  tr.append(td);
  return [tr];
}

function showTop(status, upstreams, of) {
  const reload = status.last_reload, total = of("all"), p99 = quantile(total, 0.99);
  const endpoints = upstreams.flatMap(u => u.endpoints), sum = key => endpoints.reduce((n, e) => n + e[key], 0);
  const share = total.rate > 0 ? 100 * total.failed / total.rate : 0;
  const worst = failing(total)[0];
  const wrong = status.problems.filter(p => p.what !== "drain").length, doing = status.draining ? "draining" : "serving";
  const worstOf = status.problems.some(p => p.severity === "bad") ? "bad" : wrong || status.draining ? "warn" : "good";
  pill(wrong ? `${doing}, ${wrong} problem${wrong === 1 ? "" : "s"}` : doing, worstOf);
  document.title = (total.failed > 0 || worstOf === "bad" ? "✕ " : "") + (status.draining ? "draining · " : "") + "Portcullis";
  by("facts").textContent = `${location.host} · ${status.version} · up ${span(status.uptime_seconds)} · configuration ${status.config.version}` +
    (reload ? `, last reload ${reload.ok ? "ok" : "refused"} ${span(Math.max(0, Math.round(Date.now() / 1000 - reload.at_unix)))} ago` : "");
  by("tiles").replaceChildren(
    tile("Requests/s", rate(total.rate), "", false, remember("rate", total.rate)),
    tile("Failing/s", rate(total.failed), total.failed > 0 ? `${share.toFixed(share < 10 ? 1 : 0)} %: ${worst}` : "5xx, answers that break off, calls of gRPC that fail", total.failed > 0, remember("failed", total.failed)),
    tile("Time to the answer's end, p99", time(p99), "p50 " + time(quantile(total, 0.5)), false, remember("p99", p99)),
    tile("The gateway's part, p99", time(quantile(of("overhead"), 0.99)), "p50 " + time(quantile(of("overhead"), 0.5)), false, remember("overhead", quantile(of("overhead"), 0.99))),
    tile("In flight", sum("in_flight"), `to ${endpoints.length} endpoint${endpoints.length === 1 ? "" : "s"}`, false, remember("inFlight", sum("in_flight"))),
    tile("Connections", status.connections ?? "–", `${sum("connections")} to upstreams, ${sum("idle_connections")} idle`, false, remember("connections", status.connections)),
  );
}

// The first lines, and the rest for who wants it: many would push away all that is below.
function few(lines) {
  const shown = lines.slice(0, PROBLEMS_SHOWN).join("\n"), rest = lines.slice(PROBLEMS_SHOWN);
  if (!rest.length) return [shown];
  const more = make("details");
  more.append(make("summary", `${rest.length} more`), rest.join("\n"));
  return [shown, more];
}

// A problem in a sentence, and what to do about it for who opens it.
const WRONG = {
  upstream: p => `Upstream ${p.name}`,
  silent: p => `Endpoint ${p.name}`,
  breaker: p => `Breakers of ${p.name}`,
  discovery: p => `The name of upstream ${p.name} cannot be resolved`,
  overload: p => `Requests are turned away (${words(p.name)})`,
  descriptors: () => "File descriptors are short",
  store: p => `Store ${p.name} does not answer`,
  keys: p => `Keys of ${p.name} cannot be fetched`,
  issuer: p => `The issuer of ${p.name} does not say whether tokens hold`,
  authority: p => `Service ${p.name} does not say whether requests may pass`,
  restart: p => `A restart is needed (${p.name})`,
  tracing: () => "The collector does not take all spans",
  access_log: p => `The access log (${p.name}) could not be written`,
  event_file: p => `The file of events (${p.name}) could not be written`,
  access_log_drops: p => `Access records (${p.name}) were dropped`,
  certificate: p => `The certificate of ${p.name}`,
  revocation_list: p => `The revocation list of ${p.name}`,
  drain: () => "The gateway drains",
};
const clockTime = when => {
  const at = new Date(when);
  return at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString([], { hour12: false }) : at.toLocaleString([], { hour12: false });
};
const sinceWhen = p => ` since ${clockTime(p.since)}`;
function told(p) {
  const more = make("details"), { all, routes, more: others } = p.affects;
  const felt = all ? "any route" : routes.length ? routes.join(", ") + (others ? ` and ${others} more` : "") : "no route";
  // Whom a drain is felt by, it tells itself: what it waits for.
  more.append(make("summary", "what to do"), p.what === "drain" ? p.remedy : `${p.remedy}\nfelt by: ${felt}`);
  return [`${(WRONG[p.what] ?? (it => it.what + " " + it.name))(p)}${sinceWhen(p)}: ${p.why}`, more];
}

// The requests that a drain waits for longest.
function waitedFor(drain) {
  if (!drain.oldest.length) return [];
  const all = make("details"), few = drain.oldest.slice(0, 20), more = drain.more + drain.oldest.length - few.length;
  const line = r => `${time(r.age_ms / 1000)} ${r.method} ${r.path} (${[r.route, r.upstream, r.endpoint].filter(Boolean).join(" ")})`;
  all.append(make("summary", "what it waits for"), few.map(line).join("\n") + (more ? `\nand ${more} more` : ""));
  return [all];
}

const inALine = p => `${p.file}:${p.line}:${p.column}: ${p.severity === "warning" ? "warning: " : ""}${p.message}${p.help ? " (" + p.help + ")" : ""}`;
function showAlerts(status) {
  const reload = status.last_reload, alerts = [];
  const alert = (style, ...said) => { const box = make("div", "", "box " + style); box.append(...said); alerts.push(box); };
  const problems = reload ? [...(reload.error ? [reload.error] : []), ...reload.problems.map(inALine)] : [];
  // What is bad stands before what may be.
  if (status.panics) alert("bad", status.panics === 1 ? "1 request met a bug of the gateway and was answered 500." : `${status.panics} requests met a bug of the gateway and were answered 500.`);
  for (const p of status.problems) {
    if (p.what === "reload") alert("bad", `The configuration was refused${sinceWhen(p)}; version ${status.config.version} stays in force.\n`, ...few(problems));
    else alert(p.severity, ...told(p), ...(p.what === "drain" && status.drain ? waitedFor(status.drain) : []));
  }
  // What could not be written may be lost, though it is written again.
  for (const h of status.healed.filter(h => h.what.startsWith("access_log"))) alert("warn", `${WRONG[h.what](h)} from ${clockTime(h.since)} until ${clockTime(h.until)}, and not any more: ${h.why}`);
  if (status.warnings.length) {
    const folded = make("details"), many = status.warnings.length;
    folded.append(make("summary", `${many} warning${many === 1 ? "" : "s"} of the configuration in force`), status.warnings.map(inALine).join("\n"));
    alert("warn", folded);
  }
  // Told once to who listens, not at every look.
  if (by("alerts").textContent !== alerts.map(it => it.textContent).join("")) by("alerts").replaceChildren(...alerts);
}

// Who takes the requests of an upstream that has backups.
const SERVING = { both: ["backups too", "warn"], backups: ["backups serve", "warn"] };

function showTables(upstreams, routes, of) {
  by("upstreams").replaceChildren(...upstreams.flatMap(u => {
    const it = of("upstream " + u.name), style = it.failed > 0 ? "failing" : "";
    const did = [number(rate(it.rate)), failing(it)], p99 = number(time(quantile(it, 0.99)));
    const stays = e => number(time(e.in_flight_ms ? e.in_flight_ms / 1000 : undefined));
    // The row of one endpoint has the figures since the last look; what failed before that, and marks it, is told too.
    const lately = e => it.failed > 0 || !(e.failing_per_second > 0) ? did : [did[0], [`${rate(e.failing_per_second)} over 10 s`, "bad"]];
    const marked = e => e.reasons.length && !waits(e) || e.failing_per_second > 0 ? "failing" : waits(e) ? "waiting" : "";
    const own = e => [number(rate(e.attempts_per_second ?? 0)), e.failing_per_second > 0 ? [rate(e.failing_per_second), "bad"] : ["–", "quiet"]];
    const sum = what => u.endpoints.reduce((all, e) => all + (e[what] ?? 0), 0);
    if (!u.endpoints.length) {
      const none = { balancing: "no endpoint", reasons: u.discovery_failed ? [u.discovery_failed.detail] : u.discovery ? ["nothing is found for " + u.discovery] : [] };
      return [row([[u.name, "wraps"], "–", place(none), ...did, "", p99, "", "", "", ""], "failing"), ...because(none, "failing")];
    }
    const one = u.endpoints.length === 1;
    const rows = u.endpoints.flatMap(e => {
      const mark = marked(e) || (one ? style : "");
      return [row([[one ? u.name : "", "wraps"], [e.address + (e.backup ? " (backup)" : ""), "wraps"], place(e), ...(one ? lately(e) : own(e)), stays(e), one ? p99 : "", e.weight, e.in_flight, e.connections, e.idle_connections], mark), ...because(e, mark)];
    });
    // Of several, what they come to together stands above them: the sum of what is written below it, over the same time.
    const failed = sum("failing_per_second"), kinds = Object.keys(it.failing).join(", ");
    const all = [number(rate(sum("attempts_per_second"))), failed > 0 ? [rate(failed) + (kinds ? ": " + kinds : ""), "bad"] : ["–", "quiet"]];
    return one ? rows : [row([[u.name, "wraps"], `${u.endpoints.length} endpoints`, SERVING[u.serving] ?? "", ...all, "", p99, "", sum("in_flight"), sum("connections"), sum("idle_connections")], failed > 0 ? "failing" : ""), ...rows];
  }));
  by("no-upstreams").hidden = upstreams.length > 0;
  const words = by("filter").value.toLowerCase().split(/\s+/);
  const found = routes.filter(r => { const text = [r.name, ...r.hosts, r.path, ...r.methods, r.upstream, ...(r.split ?? []), ...(r.parts ?? [])].join(" ").toLowerCase(); return words.every(word => text.includes(word)); });
  const rows = found.map(r => [r, of("route " + r.name)]);
  // What fails comes first; the rest stays where it is, so that it can be read.
  rows.sort((a, b) => (b[1].failed > 0) - (a[1].failed > 0));
  by("routes").replaceChildren(...rows.slice(0, MOST_ROUTES).map(([r, it]) =>
    row([[r.name, "wraps"], number(rate(it.rate)), failing(it), number(time(quantile(it, 0.5))), number(time(quantile(it, 0.99))), [r.hosts.join(" ") || "any", "wraps"], [r.path, "wraps"], [r.methods.join(" ") || "any", "wraps"], [r.upstream ?? (r.split ?? r.parts)?.join("; ") ?? r.own_answer ?? "–", "wraps"]], it.failed > 0 ? "failing" : "")));
  by("no-routes").hidden = found.length > 0;
  by("no-routes").textContent = routes.length ? "No route has these words." : "No routes: every request is answered 404.";
  by("more").textContent = found.length < routes.length || found.length > MOST_ROUTES ? `${Math.min(found.length, MOST_ROUTES)} of ${routes.length}` : "";
}

// What was answered, by code: what comes now is first, what fails is marked.
function showCodes(of) {
  const rows = [...of.codes].map(([name, it]) => [it, of(name).rate, name]);
  rows.sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0) || b[0].total - a[0].total);
  by("no-codes").hidden = rows.length > 0;
  by("codes").replaceChildren(...rows.map(([it, r, name]) => {
    // Those of now, or of all the time where there is nothing now.
    const routes = (it.routes.length ? it.routes : it.everSince).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([route]) => route).join(", ");
    return row([it.code, it.status, number(rate(r)), number(it.total.toLocaleString()), [routes, "wraps quiet"]], of(name).failed > 0 ? "failing" : "");
  }));
}

function showLimits({ limits, stores }, of) {
  by("limited").hidden = !limits.length;
  const degraded = new Set(stores.filter(store => store.mode !== "exact").map(store => store.name));
  by("limits").replaceChildren(...limits.map(limit => {
    const sum = (...decisions) => decisions.reduce((n, decision) => n + (of(`limit ${limit.name} ${decision}`).rate ?? NaN), 0);
    const refused = sum("refused", "closed"), shown = r => Number.isNaN(r) ? "…" : rate(r);
    const busiest = limit.busiest.slice(0, 3).map(it => `${it.key}${it.provider ? ` (${it.provider})` : ""} ${it.requests.toLocaleString()}`).join(", ");
    const store = limit.store === "local" ? ["this gateway", "quiet"] : degraded.has(limit.store) ? [limit.store + ": degraded", "bad"] : [limit.store, "quiet"];
    return row([limit.name + (limit.shadow ? " (shadow)" : ""), limit.key, limit.rate, number(shown(sum("admitted", "open"))), refused > 0 ? [rate(refused), "number warn"] : number(shown(refused)), limit.keys.kept, [busiest || "–", "wraps"], store]);
  }));
}

// One answer as it came, on request.
async function raw(path, method = "GET") {
  let text;
  try {
    const answer = await ask(path, method);
    text = await answer.text();
    if ((answer.headers.get("content-type") ?? "").includes("json")) text = JSON.stringify(JSON.parse(text), null, 2);
  } catch (error) {
    if (error instanceof Unauthorized) return askForToken();
    text = String(error.message);
  }
  by("what").textContent = method + " /" + path;
  by("text").textContent = text;
  by("raw").hidden = false;
  by("raw").scrollIntoView({ block: "nearest" });
}
by("close").addEventListener("click", () => { by("raw").hidden = true; });
by("links").addEventListener("click", event => {
  const path = event.target.getAttribute("href");
  // With another key it is a new tab, which a gateway without a token serves.
  if (path === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  raw(path);
});
by("explain").addEventListener("submit", event => {
  event.preventDefault();
  const asked = new URLSearchParams(new FormData(event.target));
  asked.set("as", "text");
  raw("explain?" + asked);
});
by("reload").addEventListener("click", () => raw("reload", "POST"));
by("filter").addEventListener("input", () => { if (last) showTables(...last); });

let last = null, timer;
async function look() {
  clearTimeout(timer);
  let pause = 1000;
  try {
    // Alone, so that a missing token is met once.
    const status = await json("status");
    const asked = requestsAsked();
    const [upstreams, routes, limits, requests, metrics] = await Promise.all([json("upstreams"), json("routes"), json("limits"), json(asked), get("metrics").then(answer => answer.text())]);
    // A gateway with thousands of routes is not asked for all their series each second.
    if (metrics.length > 1e6) pause = 10000;
    for (const id of ["main", "links", "reload"]) by(id).hidden = false;
    by("forget").hidden = !needed && token === null;
    by("enter").hidden = true;
    document.body.className = "";
    const of = changes(metrics);
    last = [upstreams.upstreams, routes.routes, of];
    showTop(status, upstreams.upstreams, of);
    showAlerts(status);
    showTables(...last);
    showCodes(of);
    showLimits(limits, of);
    // Another choice may have been made meanwhile.
    if (asked === requestsAsked()) showRequests(requests);
    keepFollowing(status);
  } catch (error) {
    if (error instanceof Unauthorized) return askForToken();
    document.body.className = "stale";
    document.title = "no answer · Portcullis";
    pill("no answer: " + error.message, "bad");
  }
  timer = setTimeout(look, pause);
}
// When all scripts are there.
addEventListener("DOMContentLoaded", look);
