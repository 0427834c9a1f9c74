//! Who sends spans: this process, on this host.

use super::message::{AnyValue, KeyValue, Resource, Said};
use crate::build;

/// The process, as a resource of OpenTelemetry's conventions. Called `service`; `instance` tells apart those that are.
pub(super) fn this_process(service: &str, instance: &str) -> Resource {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let texts = [
        ("service.name", service.to_owned()),
        ("service.version", build::VERSION.to_owned()),
        ("service.instance.id", instance.to_owned()),
        ("host.name", host),
        ("telemetry.sdk.name", "portcullis".to_owned()),
        ("telemetry.sdk.language", "rust".to_owned()),
        ("telemetry.sdk.version", build::VERSION.to_owned()),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let pid = ("process.pid", Said::Number(i64::from(std::process::id())));
    let attributes = texts.map(|(key, text)| (key, Said::Text(text))).chain([pid]);
    let attribute =
        |(key, said): (&str, Said)| KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(said) }) };
    Resource { attributes: attributes.map(attribute).collect() }
}
