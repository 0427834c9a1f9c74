// Trying an operation: the request as a curl command, always; and sent by the browser where the route lets this page read
// the answer. Nothing goes through the admin address.
"use strict";

const MOST_SHOWN = 100_000;
// What was entered once, while the page is open; in no storage.
const credentials = new Map();

const quoted = text => "'" + String(text).replaceAll("'", "'\\''") + "'";
// A listener as this browser reaches it.
const addressOf = server => server.url.replaceAll("{host}", location.hostname);
// Without listeners a program serves the gateway, and this page too.
const isMounted = () => !docs.document.servers.length;

function field(form, name, input, note = "") {
  const label = make("label");
  const said = make("span", name);
  if (note) said.append(make("span", " " + note, note === "required" ? "must" : "quiet"));
  label.append(said, input);
  form.append(label);
  return input;
}
function input(value = "", kind = "text") {
  const it = make("input");
  it.type = kind;
  it.value = value;
  it.autocomplete = "off";
  it.spellcheck = false;
  return it;
}
function select(values) {
  const it = make("select");
  for (const value of values) it.append(make("option", value));
  return it;
}

// Why the browser may not send it; nothing where it may.
function hindered(operation) {
  if (isMounted()) return "";
  const mine = operation.servers?.map(server => server.url);
  if (mine && !mine.some(url => URL.canParse(url) && new URL(url).hostname === location.hostname))
    return `This route is for ${mine.join(", ")}. A browser cannot ask an address for another host; curl can.`;
  const origins = operation["x-gateway"]?.cors?.origins;
  if (origins === "*" || (Array.isArray(origins) && origins.includes(location.origin))) return "";
  return `The browser may not read this route's answers from this page, so it sends nothing. The curl command does; or the route gets cors = { origins = ["${location.origin}"] }, which lets this page.`;
}

// The parts of the form that say what is sent.
function parts(form, operation) {
  const it = { server: field(form, "to", select(isMounted() ? [location.origin] : docs.document.servers.map(addressOf))), parameters: [], keys: [], kind: null, body: null };
  for (const parameter of (operation.parameters ?? []).map(one => resolved(one)[0])) {
    const schema = parameter.schema ?? Object.values(parameter.content ?? {})[0]?.schema ?? {};
    const given = parameter.example ?? (parameter.required ? example(schema) : "");
    const value = typeof given === "object" ? JSON.stringify(given) : String(given);
    it.parameters.push([parameter, field(form, parameter.name, input(value), parameter.required ? "required" : "in " + parameter.in)]);
  }
  const schemes = docs.document.components.securitySchemes ?? {};
  const names = new Set((operation.security ?? []).flatMap(one => Object.keys(one)));
  for (const name of names) {
    const scheme = schemes[name];
    if (!scheme || scheme.type === "mutualTLS") continue;
    const key = field(form, name, input(credentials.get(name), "password"), scheme.type === "apiKey" ? "key" : "token");
    key.addEventListener("input", () => credentials.set(name, key.value.trim()));
    it.keys.push([scheme, key]);
  }
  const [body] = resolved(operation.requestBody);
  const kinds = Object.keys(body.content ?? {});
  if (kinds.length) {
    it.kind = field(form, "content-type", kinds.some(kind => kind.includes("*")) ? input("application/json") : select(kinds));
    it.body = field(form, "body", make("textarea"));
    const media = Object.values(body.content)[0], first = media.example ?? (media.schema ? example(media.schema) : undefined);
    it.body.value = first === undefined ? "" : typeof first === "string" ? first : JSON.stringify(first, null, 2);
    it.body.spellcheck = false;
  }
  return it;
}

// What the form says: address, headers, body.
function request(method, path, it) {
  const headers = [], cookies = [], query = new URLSearchParams();
  for (const [parameter, at] of it.parameters) {
    const value = at.value;
    if (parameter.in === "path") {
      const encoded = parameter["x-catch-all"] ? value.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(value);
      path = path.replace(`{${parameter.name}}`, () => encoded);
    } else if (value !== "") {
      if (parameter.in === "query") query.append(parameter.name, value);
      if (parameter.in === "header") headers.push([parameter.name, value]);
      if (parameter.in === "cookie") cookies.push(`${parameter.name}=${value}`);
    }
  }
  for (const [scheme, key] of it.keys) if (key.value.trim())
    headers.push(scheme.type === "apiKey" ? [scheme.name, key.value.trim()] : ["authorization", "Bearer " + key.value.trim()]);
  const body = it.body && it.body.value !== "" ? it.body.value : undefined;
  if (body !== undefined) headers.push(["content-type", it.kind.value]);
  return { method, target: path + (query.size ? "?" + query : ""), headers, cookies, body, server: it.server.value };
}

function curl(asked, operation) {
  const words = ["curl -i"];
  let server = asked.server;
  const there = new URL(asked.server), all = (operation.servers ?? []).map(one => one.url);
  const port = at => at.port || (at.protocol === "https:" ? "443" : "80");
  const fits = url => { const at = new URL(url.replaceAll("{subdomain}", "www")); return at.protocol === there.protocol && port(at) === port(there); };
  const named = all.find(fits) ?? all[0];
  if (named) {
    // The host of the route, at the address of the listener.
    server = named.replaceAll("{subdomain}", "www");
    words.push("--connect-to " + quoted("::" + there.hostname + ":" + port(there)));
  }
  // A path may hold what curl would expand.
  if (/[[\]{}]/.test(asked.target)) words.push("-g");
  if (asked.method === "HEAD") words.push("-I");
  else if (asked.method !== "GET") words.push("-X " + asked.method);
  for (const [name, value] of asked.headers) words.push("-H " + quoted(`${name}: ${value}`));
  if (asked.cookies.length) words.push("-b " + quoted(asked.cookies.join("; ")));
  if (asked.body !== undefined) words.push("--data-raw " + quoted(asked.body));
  words.push(quoted(server + asked.target));
  return words.join(" \\\n  ");
}

async function send(asked, shown) {
  const began = performance.now();
  shown.hidden = false;
  shown.textContent = "…";
  try {
    const answer = await fetch(asked.server + asked.target, {
      method: asked.method, headers: asked.headers, body: asked.body, mode: "cors", credentials: "omit", redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(15000),
    });
    if (answer.type === "opaqueredirect") { shown.textContent = "A redirect. The browser does not show where to; curl does."; return; }
    const text = await answer.text(), took = Math.round(performance.now() - began);
    const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    let body = text;
    if ((answer.headers.get("content-type") ?? "").includes("json")) try { body = JSON.stringify(JSON.parse(text), null, 2); } catch { /* It is shown as it came. */ }
    if (body.length > MOST_SHOWN) body = body.slice(0, MOST_SHOWN) + "\n…";
    shown.textContent = `${answer.status} ${answer.statusText} in ${took} ms\n${headers}\n\n${body}`;
  } catch (error) {
    shown.textContent = error.name === "TimeoutError" ? "No answer within 15 s." :
      `The browser got no answer that it may show (${error.message}). Either nobody listens at ${asked.server}, or its certificate is not trusted here, or the route's cors does not allow this method or one of these headers from ${location.origin}. The curl command shows which.`;
  }
}

function tryView(method, path, operation) {
  const all = make("div", "", "try"), form = make("form");
  all.append(make("h3", "Try it"), form);
  const it = parts(form, operation), command = make("pre"), shown = make("pre");
  const buttons = make("div", "", "line"), go = make("button", "Send"), copy = make("button", "Copy curl"), why = hindered(operation);
  command.className = "curl";
  command.tabIndex = 0;
  shown.className = "answer";
  shown.tabIndex = 0;
  shown.hidden = true;
  shown.setAttribute("aria-live", "polite");
  copy.type = "button";
  go.disabled = why !== "";
  buttons.append(go, copy);
  form.append(command, buttons);
  if (why) form.append(make("p", why, "why quiet"));
  form.append(shown);
  const redraw = () => { command.textContent = curl(request(method, path, it), operation); };
  form.addEventListener("input", redraw);
  form.addEventListener("submit", event => {
    event.preventDefault();
    if (!go.disabled) send(request(method, path, it), shown);
  });
  copy.addEventListener("click", async () => {
    // Without the right to write there, it is selected for the person to copy.
    try { await navigator.clipboard.writeText(command.textContent); copy.textContent = "Copied"; } catch { getSelection().selectAllChildren(command); }
  });
  redraw();
  return all;
}
