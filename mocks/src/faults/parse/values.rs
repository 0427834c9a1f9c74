//! What stands under one key of a rule: texts, numbers, names.

use serde_json::{Map, Value};

use super::{Problems, join};

/// Reads the keys of one table.
pub(crate) struct Reader<'a> {
    pub(crate) map: &'a Map<String, Value>,
    pub(crate) at: &'a str,
    pub(crate) problems: &'a mut Problems,
}

impl Reader<'_> {
    /// The key's value read by `read`; `None` when it is absent or wrong.
    pub(crate) fn read<T>(&mut self, key: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        match read(self.map.get(key)?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.add(join(self.at, key), message);
                None
            }
        }
    }
}

pub(crate) fn table<'v>(value: &'v Value, at: &str, problems: &mut Problems) -> Option<&'v Map<String, Value>> {
    if !value.is_object() {
        problems.add(at, "a table is expected");
    }
    value.as_object()
}

pub(crate) fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is not a string"))
}

pub(crate) fn number(value: &Value) -> Result<u64, String> {
    let read = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    read.ok_or_else(|| format!("{value} is not a whole number"))
}

pub(crate) fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(format!("{other} is not true or false")),
    }
}

pub(crate) fn named<T: Copy>(value: &Value, all: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_str().and_then(|text| all.iter().find(|(name, _)| *name == text));
    found.map(|(_, one)| *one).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("{value} is none of {}", names.join(", "))
    })
}

pub(crate) fn headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let map = value.as_object().ok_or("a table of names and values is expected")?;
    map.iter().map(|(name, value)| Ok((name.to_ascii_lowercase(), text(value)?))).collect()
}
