//! Rules as JSON, in the form that `parse` reads: what `GET /faults` answers.

use serde_json::{Map, Value, json};

use super::{Act, Effect, Etag, Flap, Garbage, Match, Reset, Rule};
use crate::units;

impl Rule {
    /// The rule as JSON; reading it back gives the same rule.
    pub fn to_json(&self) -> Value {
        json!({ "match": self.matches.to_json(), "act": self.act.to_json() })
    }
}

impl Match {
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.into(), value);
            }
        };
        put("service", self.service.as_deref().map(Value::from));
        put("endpoint", self.endpoint.map(Value::from));
        put("path", self.path.as_ref().map(|path| path.as_str().into()));
        put("method", self.method.as_deref().map(Value::from));
        let headers: Map<String, Value> = self.headers.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        put("header", (!headers.is_empty()).then_some(Value::Object(headers)));
        put("share", self.share.map(Value::from));
        put("from", self.from.map(|from| units::show(from).into()));
        put("until", self.until.map(|until| units::show(until).into()));
        put("requests", self.requests.as_ref().map(|range| format!("{}..{}", range.start, range.end).into()));
        Value::Object(map)
    }
}

impl Act {
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.into(), value);
            }
        };
        put("delay", self.delay.as_ref().map(|delay| delay.to_string().into()));
        put("service", self.service.as_ref().map(|time| time.to_string().into()));
        put("status", self.status.map(Value::from));
        let only_flaps =
            self.flap.is_some() && *self == Self { flap: self.flap, effect: Effect::Refuse, ..Self::default() };
        match self.effect {
            Effect::None => {}
            Effect::Hang => put("hang", Some(true.into())),
            Effect::Reset(reset) => put("reset", name(Reset::ALL, &reset)),
            Effect::Truncate(None) => put("truncate", Some(true.into())),
            Effect::Truncate(Some(bytes)) => put("truncate", Some(bytes.into())),
            Effect::Garbage(garbage) => put("garbage", name(Garbage::ALL, &garbage)),
            // A flap that has nothing else to do closes the listener, and is read back so.
            Effect::Refuse if only_flaps => {}
            Effect::Refuse => put("refuse", Some(true.into())),
        }
        put("slow_body", self.slow_body.map(Value::from));
        put("close", self.close.map(Value::from));
        let flap = |flap: Flap| json!({ "period": units::show(flap.period), "duty": flap.duty });
        put("flap", self.flap.map(flap));
        put("grpc_status", self.grpc_status.map(Value::from));
        put("cache_control", self.caching.cache_control.as_deref().map(Value::from));
        put("etag", self.caching.etag.as_ref().map(etag));
        put("age", self.caching.age.map(Value::from));
        put("vary", self.caching.vary.as_deref().map(Value::from));
        let headers: Map<String, Value> = self.headers.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        put("body", self.body.as_deref().map(Value::from));
        put("headers", (!headers.is_empty()).then_some(Value::Object(headers)));
        Value::Object(map)
    }
}

fn etag(etag: &Etag) -> Value {
    match etag {
        Etag::OfTarget => true.into(),
        Etag::Is(tag) => tag.as_str().into(),
    }
}

fn name<T: PartialEq>(all: &[(&str, T)], wanted: &T) -> Option<Value> {
    all.iter().find(|(_, one)| one == wanted).map(|(name, _)| Value::from(*name))
}
