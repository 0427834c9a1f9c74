//! Reads what a rule does. Numbers may be strings, as they are in the request header.

use serde_json::Value;

use super::Problems;
use super::values::{Reader, flag, headers, named, number, table, text};
use crate::faults::{Act, Caching, Delay, Effect, Etag, Flap, Garbage, Reset};
use crate::units;

const ACT_KEYS: &[&str] = &[
    "delay",
    "service",
    "status",
    "hang",
    "reset",
    "slow_body",
    "truncate",
    "garbage",
    "close",
    "refuse",
    "flap",
    "grpc_status",
    "cache_control",
    "etag",
    "age",
    "vary",
    "headers",
    "body",
];
/// Heads that frame an answer, or say who made it; a rule that set them would say what is not so.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-mock-endpoint",
    "x-mock-residence-ns",
    "x-mock-service",
];
/// The shortest period of a flap; a shorter one is over before anyone sees it.
const SHORTEST_FLAP_MS: u64 = 1;

/// The act that this table describes.
pub(super) fn read_act(value: &Value, at: &str, problems: &mut Problems) -> Act {
    let Some(map) = table(value, at, problems) else { return Act::default() };
    problems.unknown_keys(map, at, ACT_KEYS);
    if map.is_empty() {
        problems.add(at, "says nothing to do");
    }
    let mut reader = Reader { map, at, problems };
    let effects: [(&str, Option<Effect>); 5] = [
        ("hang", reader.read("hang", |value| Ok(flag(value)?.then_some(Effect::Hang))).flatten()),
        ("refuse", reader.read("refuse", |value| Ok(flag(value)?.then_some(Effect::Refuse))).flatten()),
        ("reset", reader.read("reset", |value| Ok(Effect::Reset(named(value, Reset::ALL)?)))),
        ("truncate", reader.read("truncate", truncate).flatten()),
        ("garbage", reader.read("garbage", garbage).flatten()),
    ];
    let mut act = Act {
        delay: reader.read("delay", |value| Delay::parse(&text(value)?)),
        service: reader.read("service", |value| match Delay::parse(&text(value)?)? {
            Delay::Queue(_) => Err("the line is the endpoint's own: write how long a service takes".into()),
            time => Ok(time),
        }),
        status: reader.read("status", |value| {
            let status = number(value)?;
            u16::try_from(status)
                .ok()
                .filter(|status| (200..600).contains(status))
                .ok_or_else(|| format!("{status} is no final status; write 200 to 599"))
        }),
        effect: effects.iter().find_map(|(_, effect)| *effect).unwrap_or_default(),
        slow_body: reader.read("slow_body", |value| match value {
            Value::String(rate) => units::byte_rate(rate),
            other => units::byte_rate(&other.to_string()),
        }),
        close: reader.read("close", |value| if flag(value) == Ok(true) { Ok(1) } else { number(value) }),
        flap: reader.read("flap", flap),
        grpc_status: reader.read("grpc_status", |value| {
            let code = number(value)?;
            u8::try_from(code)
                .ok()
                .filter(|code| *code <= 16)
                .ok_or_else(|| format!("{code} is none of the codes 0 to 16"))
        }),
        caching: Caching {
            cache_control: reader.read("cache_control", field_value),
            etag: reader.read("etag", etag).flatten(),
            age: reader.read("age", number),
            vary: reader.read("vary", field_value),
        },
        headers: reader.read("headers", answer_headers).unwrap_or_default(),
        body: reader.read("body", body),
    };
    if act.flap.is_some() && map.len() == 1 {
        act.effect = Effect::Refuse;
    }
    if act.delay.is_some() && act.service.is_some() {
        problems.add(at, "delay and service exclude each other");
    }
    let set: Vec<&str> = effects.iter().filter(|(_, effect)| effect.is_some()).map(|(key, _)| *key).collect();
    if set.len() > 1 {
        problems.add(at, format!("{} exclude each other", set.join(" and ")));
    }
    act
}

/// `{ period = "10s", duty = 0.5 }`.
fn flap(value: &Value) -> Result<Flap, String> {
    let expected = || "a flap is { period = \"10s\", duty = 0.5 }".to_owned();
    let map = value.as_object().ok_or_else(expected)?;
    if let Some(other) = map.keys().find(|key| !matches!(key.as_str(), "period" | "duty")) {
        return Err(format!("{}, it has no `{other}`", expected()));
    }
    let period = units::duration(&text(map.get("period").ok_or_else(expected)?)?)?;
    if period < std::time::Duration::from_millis(SHORTEST_FLAP_MS) {
        return Err("a flap's period is at least 1ms".into());
    }
    let duty = map.get("duty").map_or(Some(0.5), Value::as_f64).filter(|duty| (0.001..=0.999).contains(duty));
    let duty = duty.ok_or("a flap's duty is the share of the period for which it holds: 0.001 to 0.999")?;
    Ok(Flap { period, duty })
}

/// `true` for a tag of the target, or the tag's text.
fn etag(value: &Value) -> Result<Option<Etag>, String> {
    match flag(value) {
        Ok(flag) => Ok(flag.then_some(Etag::OfTarget)),
        Err(_) => {
            let tag = field_value(value)?;
            let plain = tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
            if plain {
                Ok(Some(Etag::Is(tag)))
            } else {
                Err(format!("`{tag}` is no tag; write its text without quotes"))
            }
        }
    }
}

/// A text that can stand in a head.
fn field_value(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let fits = !text.trim().is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if fits { Ok(text) } else { Err(format!("{value} cannot be a header's value")) }
}

fn answer_headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let lines = headers(value)?;
    for (name, line) in &lines {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(format!("`{name}` is no header's name"));
        }
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(format!("`{name}` is the mock's own to set"));
        }
        field_value(&Value::from(line.as_str()))?;
    }
    Ok(lines)
}

/// A text; a document is written as one, so that what is sent is what is written, byte for byte.
fn body(value: &Value) -> Result<String, String> {
    text(value).map_err(|_| "a body is a text; write a JSON document in quotes".to_owned())
}

fn truncate(value: &Value) -> Result<Option<Effect>, String> {
    match flag(value) {
        Ok(flag) => Ok(flag.then_some(Effect::Truncate(None))),
        Err(_) => match value {
            Value::String(text) => Ok(Some(Effect::Truncate(Some(units::size(text)?)))),
            other => Ok(Some(Effect::Truncate(Some(number(other)?)))),
        },
    }
}

fn garbage(value: &Value) -> Result<Option<Effect>, String> {
    match flag(value) {
        Ok(flag) => Ok(flag.then_some(Effect::Garbage(Garbage::Bytes))),
        Err(_) => Ok(Some(Effect::Garbage(named(value, Garbage::ALL)?))),
    }
}
