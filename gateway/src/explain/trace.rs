//! Whether a request would be traced.

use crate::config::settings::target::origin;
use crate::config::settings::telemetry::Tracing;
use crate::context::{TraceContext, TracePolicy};
use crate::request_fields::RequestFields;

/// Any numbers: what they come to is not told.
const DRAWN: [u64; 3] = [1, 1, 1];

/// What becomes of the trace that a request brings, or of its own; `None` where nobody would ask.
pub(super) fn told(settings: &Tracing, headers: &RequestFields) -> Option<String> {
    let policy = TracePolicy::new(settings);
    let brought = |trusted| {
        let trace = TraceContext::continue_or_start(headers, &policy, trusted, DRAWN);
        trace.parent_id.is_some().then_some(trace.sampled())
    };
    let ratio = settings.sample_ratio;
    let sends = settings.export.as_ref().map(|export| origin(&export.endpoint));
    let text = match (brought(false), brought(true)) {
        (None, None) if sends.is_none() => return None,
        (None, None) => format!("begins here; sampled by its id ({ratio} of all)"),
        (None, Some(trusted)) => {
            let bit = if trusted { "sampled" } else { "not sampled" };
            format!("begins here; sampled by its id ({ratio} of all). From a trusted proxy it goes on, {bit}")
        }
        (Some(stranger), trusted) => {
            let here = if stranger { "sampled" } else { "not sampled" };
            let there = match trusted {
                Some(true) => ". From a trusted proxy it is, as its bit says",
                _ => ". From a trusted proxy it is not, as its bit says",
            };
            let other = if trusted == Some(stranger) { "" } else { there };
            format!("goes on, {here} by its id ({ratio} of all){other}")
        }
    };
    Some(match sends {
        Some(endpoint) => format!("{text}; spans go to {endpoint}"),
        None => format!("{text}; no spans are made"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    const LOW: &str = "00-0af7651916cd43dd8400000000000001-b7ad6b7169203331-01";
    const HIGH: &str = "00-0af7651916cd43dd84ffffffffffffff-b7ad6b7169203331-00";

    fn ask(keys: &str, traceparent: Option<&str>) -> Option<String> {
        let text = format!("[telemetry.tracing]\n{keys}\n");
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let mut headers = RequestFields::new();
        headers.extend(traceparent.map(|value| ("traceparent", value)));
        told(&config.telemetry.tracing, &headers)
    }

    #[test]
    fn it_is_told_whose_word_decides() {
        let sends = "otlp_endpoint = 'http://127.0.0.1:4318'";
        assert_eq!(ask("", None), None);
        let begins = "begins here; sampled by its id (0.01 of all); spans go to http://127.0.0.1:4318";
        assert_eq!(ask(sends, None).as_deref(), Some(begins));
        let secret = "otlp_endpoint = 'http://127.0.0.1:4318/of/s3cret'";
        assert_eq!(ask(secret, None).as_deref(), Some(begins), "no path is told");
        let low = "goes on, not sampled by its id (0.01 of all). From a trusted proxy it is, as its bit says; no spans are made";
        assert_eq!(ask("", Some(LOW)).as_deref(), Some(low));
        let high = "goes on, sampled by its id (0.01 of all). From a trusted proxy it is not, as its bit says; no spans are made";
        assert_eq!(ask("", Some(HIGH)).as_deref(), Some(high));
        let never = ask("trust_incoming = 'never'", Some(LOW));
        assert_eq!(never, None);
        let trusted = ask("trust_incoming = 'trusted'", Some(LOW)).unwrap();
        assert!(trusted.starts_with("begins here;") && trusted.contains("it goes on, sampled"), "{trusted}");
    }
}
