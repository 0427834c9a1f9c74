//! Key sets and API keys that are a part of the configuration: read when it is, and checked with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::check::Reader;
use super::settings::identity::ApiKey;
use super::source::Sources;
use super::tree::{Node, Value as Written};
use crate::jws::{KeySet, LeftOut, MAX_KEY_SET_BYTES, Signer};

/// The largest file of API keys; a hundred thousand of them take about twelve mebibytes.
const MAX_API_KEY_FILE_BYTES: u64 = 16 << 20;

/// The largest file of private keys.
const MAX_PEM_BYTES: u64 = 64 << 10;

/// A set that was read.
pub(crate) struct ReadKeys {
    /// As read.
    pub(crate) text: Arc<[u8]>,
    /// The keys that can be used.
    pub(crate) set: KeySet,
    /// The others.
    pub(crate) left_out: Vec<LeftOut>,
}

/// The key set of `jwks`: from its `file`, or `inline`. `None` where it is neither.
pub(crate) fn key_set(sources: &Sources, jwks: &Reader<'_>) -> Option<Result<ReadKeys, String>> {
    let text = if let Some(node) = jwks.get("file") {
        let file = sources.resolve(node.text()?, node.at);
        match read(&file, MAX_KEY_SET_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(error)),
        }
    } else {
        let node = jwks.get("inline")?;
        node.text().map_or_else(|| to_json(node).to_string().into_bytes(), |text| text.as_bytes().to_vec())
    };
    let parsed = KeySet::parse(&text).map_err(|error| error.to_string());
    Some(parsed.map(|(set, left_out)| ReadKeys { text: text.into(), set, left_out }))
}

/// A file's bytes, if they are not too many.
pub(super) fn read(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // A pipe would be waited for.
    if std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return Err("it is not a file".to_owned());
    }
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most { Err(format!("it is larger than {most} bytes")) } else { Ok(bytes) }
}

fn to_json(node: &Node) -> Value {
    match &node.value {
        Written::Text(text) => text.content.as_str().into(),
        Written::Integer(integer) => (*integer).into(),
        Written::Number(number) => (*number).into(),
        Written::Bool(flag) => (*flag).into(),
        Written::Date | Written::Broken => Value::Null,
        Written::List(list) => list.iter().map(to_json).collect(),
        Written::Table(table) => table.entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.node))).collect(),
    }
}

/// The keys of a file: `[[keys]]` with `sha256`, `subject` and `scopes`.
///
/// # Errors
/// What is wrong with it, with its line where there is one.
pub(crate) fn api_keys(file: &Path) -> Result<BTreeMap<[u8; 32], ApiKey>, String> {
    let bytes = read(file, MAX_API_KEY_FILE_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let document: toml::Table = text.parse().map_err(|error: toml::de::Error| one_line(text, &error))?;
    if let Some(unknown) = document.keys().find(|key| *key != "keys") {
        return Err(format!("unknown key {unknown:?}: the keys are [[keys]]"));
    }
    let mut keys = BTreeMap::new();
    let written = document.get("keys").map(|keys| keys.as_array().ok_or("keys are written [[keys]]")).transpose()?;
    for (index, table) in written.into_iter().flatten().enumerate() {
        let (hash, key) = api_key(table).map_err(|why| format!("[[keys]] number {}: {why}", index + 1))?;
        if keys.insert(hash, key).is_some() {
            return Err(format!("[[keys]] number {}: this hash is written twice", index + 1));
        }
    }
    Ok(keys)
}

/// The keys that sign passports, from a file in PEM.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn signers(file: &Path) -> Result<Vec<Signer>, String> {
    let bytes = read(file, MAX_PEM_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not PEM".to_owned())?;
    Signer::from_pem(text).map_err(str::to_owned)
}

/// Whether anybody on the machine may read a file.
pub(crate) fn is_open_to_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// TOML's own messages span lines, and quote what may be secret.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
    format!("line {line}: {}", error.message().lines().next().unwrap_or("it is not TOML"))
}

fn api_key(table: &toml::Value) -> Result<([u8; 32], ApiKey), String> {
    let table = table.as_table().ok_or("it is no table")?;
    if let Some(unknown) = table.keys().find(|key| !["sha256", "subject", "scopes"].contains(&key.as_str())) {
        return Err(format!("unknown key {unknown:?}; it has sha256, subject and scopes"));
    }
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    let hash = text("sha256").and_then(hex).ok_or("`sha256` is the hash of the key, 64 hexadecimal digits")?;
    let subject = text("subject").filter(|subject| !subject.is_empty()).ok_or("`subject` is missing")?;
    let empty = Vec::new();
    let scopes = match table.get("scopes") {
        Some(scopes) => scopes.as_array().ok_or("`scopes` is a list")?,
        None => &empty,
    };
    let one = "a scope is a string, without spaces";
    let scope = |value: &toml::Value| value.as_str().filter(|text| is_scope(text)).map(Box::from).ok_or(one);
    let scopes = scopes.iter().map(scope).collect::<Result<_, _>>()?;
    Ok((hash, ApiKey { subject: subject.into(), scopes }))
}

/// Whether a text is one scope (RFC 6749, section 3.3): written behind others, one with a space in it would be several.
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let bytes: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<BTreeMap<[u8; 32], ApiKey>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        std::fs::write(&file, text).unwrap();
        api_keys(&file)
    }

    #[test]
    fn keys_are_read_and_mistakes_are_named() {
        let hash = "c48a01f49fd0f2cc404bc3cbbc80e91457a3d41bb429a695243de4c61794155c";
        let good = format!("[[keys]]\nsha256 = \"{hash}\"\nsubject = \"job\"\nscopes = [\"a\", \"b\"]\n");
        let keys = of(&good).unwrap();
        let key = &keys[&hex(hash).unwrap()];
        assert_eq!((&*key.subject, key.scopes.len()), ("job", 2));
        assert_eq!(of("").unwrap().len(), 0);
        for (text, why) in [
            (format!("{good}{good}"), "[[keys]] number 2: this hash is written twice"),
            (good.replace(hash, "abc"), "[[keys]] number 1: `sha256` is the hash of the key, 64 hexadecimal digits"),
            (
                good.replace("subject", "subjekt"),
                "[[keys]] number 1: unknown key \"subjekt\"; it has sha256, subject and scopes",
            ),
            (good.replace("\"job\"", "\"\""), "[[keys]] number 1: `subject` is missing"),
            (good.replace("\"a\"", "\"a admin\""), "[[keys]] number 1: a scope is a string, without spaces"),
            (good.replace("\"a\"", "\"\""), "[[keys]] number 1: a scope is a string, without spaces"),
            (good.replace("[[keys]]", "[[key]]"), "unknown key \"key\": the keys are [[keys]]"),
            ("keys = 1".into(), "keys are written [[keys]]"),
        ] {
            assert_eq!(of(&text).unwrap_err(), why);
        }
        assert!(of("[[keys]]\nx").unwrap_err().starts_with("line 2: "));
    }
}
