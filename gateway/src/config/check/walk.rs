//! A tree against the tables of keys: unknown keys, types, missing keys, rules.

use super::{Context, Reader};
use super::{other_words, remedy, scalar, unknown};
use crate::config::load::Purpose;
use crate::config::parse::environment;
use crate::config::problem::{did_you_mean, quoted};
use crate::config::schema::upstream::UPSTREAM;
use crate::config::schema::{Key, Kind, ROOT, TableDef};
use crate::config::source::Span;
use crate::config::tree::{Entry, Node, Table, Text, Value};

/// Where the walk is.
#[derive(Clone)]
struct Position {
    /// Dotted, as in a table's header; empty at the top.
    path: String,
    /// The header has double brackets.
    list: bool,
    /// Within `[defaults.*]`: nothing is required, rules wait for the tables that share it.
    shared: bool,
}

impl Position {
    fn header(&self) -> String {
        if self.list { format!("[[{}]]", self.path) } else { format!("[{}]", self.path) }
    }

    fn below(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, list: false, ..self.clone() }
    }
}

/// Checks a whole configuration.
pub(crate) fn check(context: &mut Context<'_>, root: &Table) {
    let position = Position { path: String::new(), list: false, shared: false };
    table(context, Some(root), None, Span::default(), &ROOT, &position);
    if context.has_url_upstreams() {
        shared_with_urls(context, &position.below("defaults").below("upstream"));
    }
}

/// What upstreams share holds for one that is written as a URL too, and no table of its own inherits it. Whether TLS is
/// spoken is the URL's to say, and is checked with it.
fn shared_with_urls(context: &mut Context<'_>, position: &Position) {
    let Some(shared) = context.shared(&UPSTREAM, None) else { return };
    let entries: Vec<Entry> = shared.entries.iter().filter(|entry| entry.key != "tls").cloned().collect();
    let at = shared.entries.first().map_or_else(Span::default, |entry| entry.key_at);
    table(context, None, Some(&Table { entries }), at, &UPSTREAM, position);
}

fn table(
    context: &mut Context<'_>,
    own: Option<&Table>,
    base: Option<&Table>,
    at: Span,
    def: &'static TableDef,
    position: &Position,
) {
    let reader = Reader::new(own, base, def, at);
    let open = context.open_to_all.len();
    for entry in own.map_or(&[][..], |own| &own.entries) {
        match def.key(&entry.key) {
            Some(key) => known_key(context, entry, base, key, position),
            None => unknown::key(context, entry, def, (&position.path, &position.header())),
        }
    }
    if position.shared || !context.complete {
        return;
    }
    let looked_at = context.report.mark();
    for key in def.keys {
        let written = own.is_some_and(|own| own.entry(key.name).is_some());
        match (key.kind, base.and_then(|base| base.get(key.name))) {
            // What only the shared table holds is checked as a part of this one.
            (Kind::Table(inner), Some(node)) if !written => {
                table(context, None, node.table(), node.at, inner, &position.below(key.name));
            }
            (Kind::Short(_, inner) | Kind::OrFalse(inner), Some(node)) if !written && node.table().is_some() => {
                table(context, None, node.table(), node.at, inner, &position.below(key.name));
            }
            (_, None) if key.required && !written => {
                context.report.error(at, format!("{} is missing in {}", quoted(key.name), position.header()));
            }
            _ => {}
        }
    }
    // A rule over a value that could not be read would only say that it is missing.
    if ![own, base].into_iter().flatten().any(Table::has_broken) {
        for rule in def.rules {
            rule(context, &reader);
        }
    }
    // One mistake is one error: of a value that was refused nothing more is said, and what is missing is perhaps what
    // nobody knows the name of.
    let has_unknown = context.report.mark() > 0 && reader.has_unknown();
    context.report.drop_consequences(looked_at, has_unknown.then_some(at));
    if has_unknown && !position.path.is_empty() {
        context.open_to_all.truncate(open);
    }
}

fn known_key(context: &mut Context<'_>, entry: &Entry, base: Option<&Table>, key: &'static Key, position: &Position) {
    if matches!(entry.node.value, Value::Broken) {
        return;
    }
    let inside = position.below(key.name);
    let right = value(context, &entry.node, base.and_then(|base| base.get(key.name)), key.kind, &inside);
    if right && key.secret {
        secret(context, key.name, &entry.node);
    }
}

/// Checks a value of any kind. Says whether a single value is right; for lists and tables it says nothing.
fn value(context: &mut Context<'_>, node: &Node, base: Option<&Node>, kind: Kind, position: &Position) -> bool {
    match kind {
        Kind::Table(def) => match &node.value {
            Value::Table(own) => table(context, Some(own), base.and_then(Node::table), node.at, def, position),
            _ => return no_such_table(context, node, def, &position.path),
        },
        Kind::Short(short, def) => match &node.value {
            Value::Table(own) => table(context, Some(own), base.and_then(Node::table), node.at, def, position),
            Value::Bool(_) => return value(context, node, None, *short, position),
            _ if matches!(short, Kind::Bool) => {
                let help = remedy::of_switch(&position.path, node, def);
                return scalar::wrong_type(context, node, "true, false or a table", help.as_deref());
            }
            _ => return value(context, node, None, *short, position),
        },
        Kind::OrFalse(def) => return table_or_false(context, node, base.and_then(Node::table), def, position),
        Kind::Shared(def, without) => shared(context, node, def, without, position),
        Kind::Tables(def) => tables(context, node, def, position),
        Kind::List(element, least) => list(context, node, *element, least, position),
        Kind::Map(keys, values) => map(context, node, keys, *values, position),
        Kind::Tagged(tag, variants) => tagged(context, node, tag, variants, position),
        Kind::Anything => {}
        _ => return scalar::check(context, node, kind, &position.path),
    }
    true
}

fn shared(context: &mut Context<'_>, node: &Node, def: &'static TableDef, without: &[&str], position: &Position) {
    let Value::Table(own) = &node.value else {
        no_table(context, node, &position.path);
        return;
    };
    for entry in own.entries.iter().filter(|entry| without.contains(&entry.key.as_str())) {
        context.report.error(entry.key_at, format!("{} cannot be shared", quoted(&entry.key)));
    }
    table(context, Some(own), None, node.at, def, &Position { shared: true, ..position.clone() });
}

/// Something else stands where a table must: often one whose header has too many brackets, or lacks its name.
fn no_table(context: &mut Context<'_>, node: &Node, path: &str) -> bool {
    scalar::wrong_type(context, node, "a table", Some(&format!("write [{path}] and its keys below")))
}

/// The same of a table with these keys, one of which perhaps takes what is written.
fn no_such_table(context: &mut Context<'_>, node: &Node, def: &TableDef, path: &str) -> bool {
    match remedy::of_table(path, node, def) {
        Some(help) => scalar::wrong_type(context, node, "a table", Some(&help)),
        None => no_table(context, node, path),
    }
}

/// A table, of which an empty one takes nothing away from what is shared; `false` does.
fn table_or_false(
    context: &mut Context<'_>,
    node: &Node,
    base: Option<&Table>,
    def: &'static TableDef,
    position: &Position,
) -> bool {
    let name = position.path.rsplit('.').next().unwrap_or_default();
    match &node.value {
        Value::Table(own) => {
            if own.entries.is_empty() && base.is_some() {
                let message = format!("this is the `{name}` that routes share, and nothing else");
                context.report.warning(node.at, message, format!("{name} = false is none; or leave it out"));
            }
            table(context, Some(own), base, node.at, def, position);
            true
        }
        Value::Bool(false) => true,
        Value::Bool(true) => {
            let help = format!("write [{}] and its keys below; {name} = false is none", position.path);
            context.report.error_with(node.at, "expected a table or false, found true", help);
            false
        }
        _ => {
            let plain = || format!("write [{}] and its keys below, or {name} = false for none", position.path);
            let help = remedy::of_table(&position.path, node, def).unwrap_or_else(plain);
            scalar::wrong_type(context, node, "a table or false", Some(&help))
        }
    }
}

fn tables(context: &mut Context<'_>, node: &Node, def: &'static TableDef, position: &Position) {
    let Value::List(list) = &node.value else {
        let help = format!("write [[{}]]", position.path);
        scalar::wrong_type(context, node, "a list of tables", Some(&help));
        return;
    };
    let position = Position { list: true, ..position.clone() };
    for element in list {
        match &element.value {
            Value::Table(own) => table(context, Some(own), context.shared(def, Some(own)), element.at, def, &position),
            _ => _ = no_table(context, element, &format!("[{}]", position.path)),
        }
    }
}

fn list(context: &mut Context<'_>, node: &Node, element: Kind, least: usize, position: &Position) {
    let Value::List(list) = &node.value else {
        scalar::wrong_type(context, node, "a list", Some(&remedy::of_list(&position.path, node, element)));
        return;
    };
    if list.len() < least && context.complete {
        context.report.error(node.at, "the list is empty".to_owned());
    }
    let position = Position { shared: false, ..position.clone() };
    for node in list {
        if matches!(element, Kind::Table(_)) && node.table().is_none() {
            no_table(context, node, &format!("[{}]", position.path));
        } else {
            value(context, node, None, element, &position);
        }
    }
}

fn map(
    context: &mut Context<'_>,
    node: &Node,
    keys: &'static crate::config::value::text::TextKind,
    values: Kind,
    position: &Position,
) {
    let named = position.below("NAME").path;
    let Value::Table(own) = &node.value else {
        if matches!(values, Kind::Table(_) | Kind::Shared(..) | Kind::Tagged(..)) {
            no_table(context, node, &named);
        } else {
            let help = remedy::of_map(&position.path, node, keys, values);
            scalar::wrong_type(context, node, "a table", help.as_deref());
        }
        return;
    };
    for entry in &own.entries {
        let name = Node { at: entry.key_at, value: Value::Text(Text::plain(entry.key.clone())) };
        scalar::text_kind(context, &name, keys);
        let inside = Position { shared: false, ..position.below(&entry.key) };
        match (values, &entry.node.value) {
            (Kind::Table(def), Value::Table(own)) => {
                let base = context.shared(def, Some(own));
                table(context, Some(own), base, entry.node.at, def, &inside);
            }
            (Kind::Table(def), Value::Text(_)) if position.path.contains('.') && def.key(&entry.key).is_none() => {
                no_such_table(context, &entry.node, def, &inside.path);
            }
            // A key of a table whose name was left out, and not a name with too many brackets.
            (Kind::Table(def), value) if def.key(&entry.key).is_some() || !matches!(value, Value::List(_)) => {
                no_table(context, &entry.node, &named);
            }
            _ => {
                value(context, &entry.node, None, values, &inside);
            }
        }
    }
}

fn tagged(
    context: &mut Context<'_>,
    node: &Node,
    tag: &str,
    variants: &'static [(&'static str, &'static TableDef)],
    position: &Position,
) {
    let Value::Table(own) = &node.value else {
        no_table(context, node, &position.path);
        return;
    };
    let words: Vec<&str> = variants.iter().map(|(word, _)| *word).collect();
    let listed = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    let Some(kind) = own.entry(tag) else {
        if context.complete {
            context.report.error_with(
                node.at,
                format!("{} is missing in {}", quoted(tag), position.header()),
                format!("it is one of {listed}"),
            );
        }
        return;
    };
    let chosen = variants.iter().find(|(word, _)| Some(*word) == kind.node.text());
    match (chosen, kind.node.text()) {
        (Some((_, def)), _) => table(context, Some(own), None, node.at, def, position),
        (None, Some(text)) => {
            let near = || did_you_mean(text, words.iter().copied());
            let help = other_words::of_value(text, |ours| words.contains(&ours)).or_else(near);
            let message = format!("expected one of {listed}, found {}", quoted(kind.node.shown()));
            context.report.error_maybe(kind.node.at, message, help);
        }
        (None, None) => {
            scalar::wrong_type(context, &kind.node, &format!("one of {listed}"), None);
        }
    }
}

/// What hardly anybody means a secret to have.
fn flaw(secret: &str) -> Option<&'static str> {
    if secret.ends_with('\n') {
        Some("ends with a line end")
    } else if secret.trim() != secret {
        Some("begins or ends with a blank")
    } else if secret.chars().any(char::is_control) {
        Some("has a control character in it")
    } else {
        None
    }
}

/// A variable that is named for a secret must be set before the gateway serves.
fn secret(context: &mut Context<'_>, key: &str, node: &Node) {
    let Some(name) = node.text() else { return };
    if let Some(flaw) = context.environment.get(name).and_then(|value| flaw(&value)) {
        let message = format!("`{key}`: what {} holds {flaw}", quoted(name));
        let help = "a secret is written without a line end by `printf %s`, and not by `echo`: also one of Kubernetes";
        match key {
            // It is held against a header's value, which never has any of this.
            "token_env" => context.report.error_with(node.at, message, help),
            _ => context.report.warning(node.at, message, help),
        }
    }
    let state = match context.environment.get(name) {
        Some(value) if !value.is_empty() => return,
        Some(_) => "empty",
        None => "not set",
    };
    let message = format!("the environment variable {} is {state}", quoted(name));
    match context.purpose {
        Purpose::Check | Purpose::CheckElsewhere => {
            context.report.warning(node.at, message, "`gateway run` refuses to start without it");
        }
        Purpose::Run => {
            let help =
                format!("set it where the gateway is started, the file has only its name: {}", environment::AT_START);
            context.report.error_with(node.at, message, help);
        }
    }
}
