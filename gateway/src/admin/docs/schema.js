// Schemas as trees that open step by step, and a first example of one. Whatever comes is shown as text, never as markup.
"use strict";

const DEEPEST_EXAMPLE = 3;

function make(tag, text = "", style = "") {
  const it = document.createElement(tag);
  it.textContent = text;
  if (style) it.className = style;
  return it;
}

// Text with paragraphs, and with what stands in back-ticks as code.
function told(text) {
  const all = make("div", "", "told");
  for (const paragraph of String(text).split(/\n{2,}/)) {
    const p = make("p");
    paragraph.split("`").forEach((piece, at) => p.append(at % 2 ? make("code", piece) : piece));
    all.append(p);
  }
  return all;
}

// What a reference within the document leads to, and its name.
function resolved(value) {
  let name = null;
  for (let hops = 0; hops < 16 && value && typeof value.$ref === "string"; hops++) {
    const steps = value.$ref.replace(/^#\//, "").split("/").map(step => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
    let found = docs.document;
    for (const step of steps) found = found && Object.hasOwn(found, step) ? found[step] : undefined;
    name = steps.at(-1);
    const { $ref, ...beside } = value;
    value = found === undefined ? {} : Object.keys(beside).length && found && typeof found === "object" ? { ...found, ...beside } : found;
  }
  return [value ?? {}, name];
}

const LISTS = { allOf: "all of", anyOf: "any of", oneOf: "one of", prefixItems: "items in this order" };

function typeOf(schema, depth = 0) {
  if (schema === true || schema === false) return schema ? "anything" : "nothing";
  const [it, name] = resolved(schema);
  const kinds = [it.type ?? []].flat();
  let text = kinds.length ? kinds.join(" or ") : it.const !== undefined ? "exactly " + JSON.stringify(it.const)
    : it.enum ? "one of these" : it.properties ? "object" : Object.keys(LISTS).filter(list => it[list]).map(list => LISTS[list])[0] ?? "anything";
  if (kinds.includes("array") && it.items !== undefined) text = text.replace("array", depth < 3 ? "array of " + typeOf(it.items, depth + 1) : "array of more");
  return (name ? name + ": " : "") + text + (it.format ? ` (${it.format})` : "");
}

// What bounds its values, in words.
function bounds(it) {
  const words = [];
  for (const [key, word] of [["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["exclusiveMaximum", "<"], ["minLength", "length ≥"], ["maxLength", "length ≤"], ["minItems", "items ≥"], ["maxItems", "items ≤"], ["pattern", "like"]])
    if (it[key] !== undefined) words.push(`${word} ${it[key]}`);
  if (it.const !== undefined) words.push("= " + JSON.stringify(it.const));
  if (Array.isArray(it.enum)) words.push(it.enum.slice(0, 40).map(value => JSON.stringify(value)).join(", ") + (it.enum.length > 40 ? ", …" : ""));
  if (it.default !== undefined) words.push("else " + JSON.stringify(it.default));
  for (const word of ["readOnly", "writeOnly", "deprecated"]) if (it[word]) words.push({ readOnly: "only in answers", writeOnly: "only in requests", deprecated: "deprecated" }[word]);
  return words.join("; ");
}

function children(it) {
  const all = [];
  const required = new Set(Array.isArray(it.required) ? it.required : []);
  for (const [name, schema] of Object.entries(it.properties ?? {})) all.push([name, schema, required.has(name)]);
  if (it.additionalProperties !== undefined) all.push(["any other name", it.additionalProperties, false]);
  if (it.items !== undefined) all.push(["each item", it.items, false]);
  for (const [list, word] of Object.entries(LISTS)) (Array.isArray(it[list]) ? it[list] : []).forEach((schema, at) => all.push([`${word} ${at + 1}`, schema, false]));
  return all;
}

// A schema; what lies within is made when it is opened.
function schemaView(schema, open = true) {
  const [it] = resolved(schema), inner = children(it), all = make("div", "", "schema");
  const about = [typeof it.description === "string" ? it.description : "", bounds(it)].filter(Boolean).join(" · ");
  if (!inner.length) {
    all.append(make("span", typeOf(schema), "type"), about ? " " + about : "");
    return all;
  }
  const details = make("details"), list = make("ul");
  const summary = make("summary");
  summary.append(make("span", typeOf(schema), "type"), about ? " " + about : "");
  details.append(summary, list);
  details.addEventListener("toggle", () => {
    if (!details.open || list.childElementCount) return;
    for (const [name, child, must] of inner) {
      const li = make("li");
      li.append(make("span", name, "name"), must ? make("span", " required", "must") : "", " ", schemaView(child, false));
      list.append(li);
    }
  });
  details.open = open;
  all.append(details);
  return all;
}

// A value that fits, as far as that can be seen, of so many values at most.
function example(schema, depth = 0, left = { values: 2000 }) {
  const [it] = resolved(schema);
  if (it === true || it === false || depth > DEEPEST_EXAMPLE || left.values-- <= 0) return null;
  if (Array.isArray(it.examples) && it.examples.length) return it.examples[0];
  for (const key of ["example", "default", "const"]) if (it[key] !== undefined) return it[key];
  if (Array.isArray(it.enum)) return it.enum[0];
  for (const list of ["oneOf", "anyOf"]) if (Array.isArray(it[list]) && it[list].length) return example(it[list][0], depth + 1, left);
  if (Array.isArray(it.allOf)) return Object.assign({}, ...it.allOf.map(one => example(one, depth + 1, left)).filter(one => one && typeof one === "object"), it.properties ? example({ properties: it.properties }, depth + 1, left) : {});
  const kind = [it.type ?? (it.properties ? "object" : "string")].flat().find(one => one !== "null");
  switch (kind) {
    case "object": return Object.fromEntries(Object.entries(it.properties ?? {}).filter(([, one]) => !resolved(one)[0].readOnly).map(([name, one]) => [name, example(one, depth + 1, left)]));
    case "array": return it.items === undefined ? [] : [example(it.items, depth + 1, left)];
    case "integer": case "number": return it.minimum ?? 0;
    case "boolean": return true;
    default: return "text";
  }
}
