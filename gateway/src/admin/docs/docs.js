// The API reference. It carries no data: it asks the admin API for the merged document, with the token where one is
// needed. Whatever comes is shown as text, never as markup.
"use strict";

const MOST_OPERATIONS = 400;
const PLACE = "portcullis-admin-token";
const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const by = id => document.getElementById(id);
const docs = { document: null, operations: [] };
let token = sessionStorage.getItem(PLACE);

// ---- Asking

async function load() {
  const host = by("host").value.trim();
  const headers = token === null ? {} : { authorization: "Bearer " + token };
  let answer;
  try {
    answer = await fetch("openapi.json" + (host ? "?" + new URLSearchParams({ host }) : ""), { headers, cache: "no-store", signal: AbortSignal.timeout(30000) });
  } catch (error) {
    by("facts").textContent = "no answer: " + error.message;
    return;
  }
  if (answer.status === 401) return askForToken();
  const text = await answer.json().catch(() => ({}));
  if (!answer.ok) { by("facts").textContent = text.detail ?? "answered with " + answer.status; return; }
  for (const id of ["main", "save"]) by(id).hidden = false;
  by("enter").hidden = true;
  by("forget").hidden = token === null;
  take(text);
}

function askForToken() {
  by("wrong").hidden = token === null;
  sessionStorage.removeItem(PLACE);
  token = null;
  for (const id of ["main", "save", "forget"]) by(id).hidden = true;
  by("enter").hidden = false;
  by("facts").textContent = "locked";
  by("token").focus();
}
by("enter").addEventListener("submit", event => {
  event.preventDefault();
  const given = by("token").value.trim();
  by("token").value = "";
  // What a header cannot carry is no token.
  token = /^[\x21-\x7e]+$/.test(given) ? given : "-";
  sessionStorage.setItem(PLACE, token);
  load();
});
by("forget").addEventListener("click", () => { sessionStorage.removeItem(PLACE); location.reload(); });
by("save").addEventListener("click", () => {
  const link = make("a"), url = URL.createObjectURL(new Blob([JSON.stringify(docs.document, null, 2)], { type: "application/json" }));
  link.href = url;
  link.download = "openapi.json";
  link.click();
  URL.revokeObjectURL(url);
});

// ---- What there is

function take(text) {
  docs.document = text;
  docs.operations = [];
  for (const [path, item] of Object.entries(text.paths)) {
    for (const method of METHODS) if (item[method]) docs.operations.push({ path, method, it: item[method], words: wordsOf(path, method, item[method]) });
    for (const other of item["x-other-methods"] ?? []) docs.operations.push({ path, method: other.method.toLowerCase(), it: null, words: (path + " " + other.method + " " + other.route).toLowerCase(), other });
  }
  by("facts").textContent = `${text.info.title} · ${location.host} · ${docs.operations.length} operation${docs.operations.length === 1 ? "" : "s"}`;
  alerts(text);
  show();
  openNamed();
}

const wordsOf = (path, method, it) => [method, path, it.summary, it.operationId, it["x-gateway"]?.route, ...(it.tags ?? []), ...(it.security ?? []).flatMap(one => [...Object.keys(one), ...Object.values(one).flat()])].join(" ").toLowerCase();

function alerts(text) {
  const all = [];
  for (const one of text["x-documents"] ?? []) {
    if (one.missing) all.push(make("div", `The document ${one.from} of the route ${one.route} is missing: ${one.missing}. The route stands by itself.`, "box warn"));
    if (one.stale) all.push(make("div", `The document ${one.from} of the route ${one.route} may be old: ${one.stale}.`, "box warn"));
  }
  for (const one of text["x-left-out"] ?? []) {
    const details = make("details"), list = make("ul");
    details.append(make("summary", `Left out of the document of the route ${one.route}: ${one.notes.length}`, "quiet"), list);
    for (const note of one.notes) list.append(make("li", note));
    all.push(details);
  }
  by("alerts").replaceChildren(...all);
}

// ---- The list

function show() {
  const wanted = by("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = docs.operations.filter(one => wanted.every(word => one.words.includes(word)));
  const groups = new Map();
  for (const one of found.slice(0, MOST_OPERATIONS)) {
    const tag = String(one.it?.tags?.[0] ?? one.other?.route ?? "");
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(one);
  }
  const described = new Map((docs.document.tags ?? []).map(tag => [tag.name, tag.description]));
  by("groups").replaceChildren(...[...groups].map(([tag, list]) => {
    const group = make("section", "", "group");
    group.append(make("h2", tag));
    if (described.get(tag)) group.append(make("p", described.get(tag), "quiet"));
    group.append(...list.map(operationView));
    return group;
  }));
  by("count").textContent = wanted.length ? `${found.length} of ${docs.operations.length}` : "";
  by("more").hidden = found.length <= MOST_OPERATIONS;
  by("more").textContent = `${found.length - MOST_OPERATIONS} more: search for them.`;
}

function pathView(path) {
  const it = make("span", "", "path");
  path.split(/(\{[^}]*\})/).forEach(piece => it.append(piece.startsWith("{") ? make("em", piece) : piece));
  return it;
}

function operationView(one) {
  const { path, method, it } = one, details = make("details", "", "operation" + (it?.deprecated ? " gone" : "")), summary = make("summary");
  summary.append(make("span", method.toUpperCase(), "method " + (METHODS.includes(method) ? method : "")), pathView(path));
  if (it?.summary && it.summary !== path) summary.append(make("span", it.summary, "said"));
  const marks = make("span", "", "marks");
  if (it?.security?.length) {
    const ways = [...new Set(it.security.map(way => Object.keys(way).join(" and ")).filter(Boolean))];
    marks.append(make("span", ways.join(" or ") + (it.security.some(way => !Object.keys(way).length) ? ", optional" : "")));
  }
  if (it?.["x-rate-limits"]?.length) marks.append(make("span", it["x-rate-limits"][0].rate));
  summary.append(marks);
  details.append(summary);
  if (it) details.id = "op-" + it.operationId;
  // Made when somebody looks.
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(it ? about(one) : make("p", `OpenAPI has no place for ${method.toUpperCase()}; the route ${one.other.route} takes it.`, "about"));
    if (details.open && it) history.replaceState(null, "", "#" + details.id);
  });
  return details;
}

function openNamed() {
  const named = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) { named.open = true; named.scrollIntoView({ block: "start" }); }
}

// ---- One operation

function table(heads, rows) {
  const wide = make("div", "", "wide"), it = make("table"), head = make("tr"), body = make("tbody");
  for (const text of heads) head.append(make("th", text));
  for (const cells of rows) {
    const tr = make("tr");
    for (const cell of cells) { const td = make("td"); td.append(...[cell].flat()); tr.append(td); }
    body.append(tr);
  }
  const thead = make("thead");
  thead.append(head);
  it.append(thead, body);
  wide.append(it);
  return wide;
}

function contentView(content) {
  return Object.entries(content ?? {}).flatMap(([kind, media]) => {
    const parts = [make("div", kind, "quiet")];
    if (media.schema && Object.keys(media.schema).length) parts.push(schemaView(media.schema));
    if (media.example !== undefined) parts.push(make("pre", typeof media.example === "string" ? media.example : JSON.stringify(media.example, null, 2)));
    return parts;
  });
}

function about({ path, method, it }) {
  const all = make("div", "", "about");
  if (it.description) all.append(told(it.description));
  const part = (title, ...nodes) => all.append(make("h3", title), ...nodes);
  const parameters = (it.parameters ?? []).map(one => resolved(one)[0]);
  if (parameters.length) part("Parameters", table(["Name", "In", "What"], parameters.map(one =>
    [[make("span", one.name, "path"), ...(one.required ? [make("span", " required", "must")] : [])], one.in, [...(one.description ? [told(one.description)] : []), one.schema ? schemaView(one.schema, false) : "", ...contentView(one.content)]])));
  const [body] = resolved(it.requestBody);
  if (body.content) part("Body", ...(body.description ? [told(body.description)] : []), ...contentView(body.content));
  part("Who may use it", access(it));
  if (it["x-rate-limits"]?.length) part("Limits", table(["Limit", "By", "Rate", "At once", "A request takes"], it["x-rate-limits"].map(limit =>
    [limit.name + (limit.shadow ? " (only watched)" : ""), limit.key, limit.rate, String(limit.quota), String(limit.cost)])));
  part("Answers", table(["Status", "What"], Object.entries(it.responses).map(([status, response]) => {
    const [one] = resolved(response);
    const headers = Object.keys(one.headers ?? {});
    const inner = contentView(one.content);
    const opened = make("details");
    if (inner.length) opened.append(make("summary", Object.keys(one.content).join(", "), "quiet"), ...inner);
    return [status, [told(one.description ?? ""), ...(headers.length ? [make("div", "headers: " + headers.join(", "), "quiet")] : []), ...(inner.length ? [opened] : [])]];
  })));
  if (it["x-alternatives"]?.length) part("Other routes of this path", table(["Route", "When"], it["x-alternatives"].map(one => [one.route, told(one.when ?? "whatever else comes")])));
  all.append(tryView(method.toUpperCase(), path, it));
  return all;
}

function access(it) {
  if (!it.security?.length) return make("p", it["x-gateway"]?.addresses ? "Who asks from an address that the route lets in." : "Everybody.");
  const schemes = docs.document.components.securitySchemes ?? {};
  const way = one => {
    const names = Object.entries(one);
    if (!names.length) return ["nobody's identity", "A request without a credential passes too."];
    const scopes = names.flatMap(([, list]) => list);
    return [names.map(([name]) => name).join(" and "), [told(names.map(([name]) => schemes[name]?.description ?? "").join(" ")), ...(scopes.length ? [make("div", "scopes: " + scopes.join(", "))] : [])]];
  };
  return table(["One of", "How"], it.security.map(way));
}

by("search").addEventListener("input", () => { if (docs.document) show(); });
by("host").addEventListener("change", load);
by("choose").addEventListener("submit", event => { event.preventDefault(); load(); });
addEventListener("hashchange", openNamed);
// From anywhere, as in other references.
addEventListener("keydown", event => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")) { event.preventDefault(); by("search").focus(); }
});
load();
