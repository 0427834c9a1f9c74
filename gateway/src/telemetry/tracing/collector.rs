//! The way to a collector: OTLP over HTTP with protobuf, or over gRPC. One message at a time, within its time.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use reqwest::Certificate;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE};
use reqwest::redirect::Policy;

use super::exporter::Carrier;
use super::verdict::Verdict;
use crate::clock::Clock;
use crate::config::settings::target::{self, NOT_SHOWN};
use crate::config::settings::telemetry::{Export, OtlpProtocol, TRACES};
use crate::fetch_failure::{innermost, place, reason};
use crate::retry_after;

/// Opening a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// The largest answer that is read, bytes.
const MOST_ANSWER: usize = 64 * 1024;
/// The method of gRPC.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A way to a collector.
pub(super) struct Wire {
    client: reqwest::Client,
    url: String,
    /// As it is told.
    place: String,
    protocol: OtlpProtocol,
    headers: HeaderMap,
}

impl Wire {
    /// The way that these settings ask for. Proxies of the environment are not used, and redirects are not followed:
    /// who may see spans and secrets is configured.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(export: &Export) -> Result<Self, String> {
        let builder = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(export.timeout);
        let builder = builder.connect_timeout(CONNECT.min(export.timeout));
        let builder = builder.user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        let builder = match export.protocol {
            OtlpProtocol::Http => builder.http1_only(),
            OtlpProtocol::Grpc => builder.http2_prior_knowledge(),
        };
        let builder = match &export.ca {
            None => builder,
            Some(ca) => {
                let certificates: Result<Vec<_>, _> =
                    ca.certificates.iter().map(|der| Certificate::from_der(der)).collect();
                builder.tls_certs_only(certificates.map_err(|error| innermost(&error))?)
            }
        };
        let client = builder.build().map_err(|error| innermost(&error))?;
        let base = export.endpoint.trim_end_matches('/');
        let (path, kind) = match export.protocol {
            OtlpProtocol::Http => (TRACES, "application/x-protobuf"),
            OtlpProtocol::Grpc => (EXPORT, "application/grpc"),
        };
        let mut headers: HeaderMap = export.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if export.protocol == OtlpProtocol::Grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let place = told(base, path);
        Ok(Self { client, url: format!("{base}{path}"), place, protocol: export.protocol, headers })
    }

    async fn send(&self, message: Bytes) -> Result<Verdict, reqwest::Error> {
        let body = match self.protocol {
            OtlpProtocol::Http => message,
            OtlpProtocol::Grpc => prefixed(&message),
        };
        let request = self.client.post(&self.url).headers(self.headers.clone()).body(body);
        let answer: http::Response<reqwest::Body> = request.send().await?.into();
        let (head, mut body) = answer.into_parts();
        let (mut data, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                // Its status has been said, whatever comes of the rest; that of gRPC comes last.
                Err(_) if self.protocol == OtlpProtocol::Http => break,
                Err(error) => return Err(error),
            };
            match frame.into_data() {
                Ok(part) if data.len() + part.len() <= MOST_ANSWER => data.put(part),
                // What is so long is no answer of a collector: what it says by its status still counts.
                Ok(_) => break,
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        Ok(match self.protocol {
            OtlpProtocol::Http => of_http(head.status.as_u16(), &head.headers, &data),
            OtlpProtocol::Grpc => of_grpc(head.status.as_u16(), &head.headers, &trailers, &data),
        })
    }
}

impl Carrier for Wire {
    async fn carry(&self, message: Bytes) -> Verdict {
        let verdict = match self.send(message).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::unanswered(reason(error)),
        };
        verdict.at(&self.place)
    }
}

/// A collector's address as it may be told: some take a secret in its path.
fn told(base: &str, path: &str) -> String {
    let origin = target::origin(base);
    if origin == base { place(&format!("{base}{path}")) } else { format!("{}{NOT_SHOWN}{path}", place(origin)) }
}

fn prefixed(message: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.put_slice(message);
    body.freeze()
}

/// What a call of gRPC came to. Without a status of gRPC, that of HTTP says it (gRPC, "HTTP to gRPC Status Code
/// Mapping").
fn of_grpc(status: u16, head: &HeaderMap, trailers: &HeaderMap, body: &[u8]) -> Verdict {
    const STATUS: HeaderName = HeaderName::from_static("grpc-status");
    let fields = if trailers.contains_key(STATUS) { trailers } else { head };
    let text = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
    let Some(code) = text(STATUS.as_str()).and_then(|code| code.parse().ok()) else {
        return match status {
            429 | 502 | 503 | 504 => Verdict::unanswered(format!("it answered {status}")),
            _ => Verdict::Refused(format!("it answered {status} without a status of gRPC")),
        };
    };
    let message = text("grpc-message").unwrap_or_default();
    let message = percent_encoding::percent_decode_str(message).decode_utf8_lossy();
    Verdict::of_grpc(code, &message, &details(text("grpc-status-details-bin")), body.get(PREFIX..).unwrap_or_default())
}

/// Binary fields are base64, with or without padding.
fn details(text: Option<&str>) -> Vec<u8> {
    use base64::Engine as _;
    let text = text.unwrap_or_default().trim_end_matches('=');
    base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).unwrap_or_default()
}

/// What an answer over HTTP means. One of another kind than was asked for is no collector's: the page of a service that
/// has taken its place.
fn of_http(status: u16, head: &HeaderMap, body: &[u8]) -> Verdict {
    let kind = head.get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
    // Some answer nothing at all, some say JSON; neither is a page.
    let is_strange = |kind: &&str| !body.is_empty() && !["application/x-protobuf", "application/json"].contains(kind);
    let kind = kind.as_deref().map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match kind.as_deref().filter(is_strange) {
        Some(kind) if (200..300).contains(&status) => Verdict::strange(status, kind),
        _ => Verdict::of_http(status, retry_after(head, &Clock::system()), body),
    }
}

/// In how long it wants to be asked again.
fn retry_after(head: &HeaderMap, clock: &Clock) -> Option<Duration> {
    head.get(RETRY_AFTER).and_then(|value| retry_after::retry_after(value.as_bytes(), clock, clock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_status_of_grpc_comes_in_trailers_or_in_a_head_alone() {
        let ok = fields(&[("grpc-status", "0")]);
        assert_eq!(of_grpc(200, &fields(&[]), &ok, b"\0\0\0\0\0"), Verdict::WHOLE);
        assert_eq!(of_grpc(200, &ok, &fields(&[]), b""), Verdict::WHOLE);
        let refused = fields(&[("grpc-status", "16"), ("grpc-message", "no%20token")]);
        let why = "it answered with the status 16: no token".to_owned();
        assert_eq!(of_grpc(200, &refused, &fields(&[]), b""), Verdict::Refused(why));
        assert!(matches!(of_grpc(503, &fields(&[]), &fields(&[]), b""), Verdict::Later { .. }));
        assert!(matches!(of_grpc(404, &fields(&[]), &fields(&[]), b""), Verdict::Refused(_)));
    }

    #[test]
    fn a_collector_is_told_without_a_path_of_its_own() {
        for (base, expected) in [
            ("http://ada:word@127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://c.test/hook/s3cret", "https://c.test/(not shown)/v1/traces"),
        ] {
            assert_eq!(told(base, TRACES), expected);
        }
    }

    #[test]
    fn a_message_of_grpc_says_its_length() {
        assert_eq!(&*prefixed(b"abc"), b"\0\0\0\0\x03abc");
    }

    #[test]
    fn details_are_read_with_and_without_padding() {
        for text in ["AQI=", "AQI"] {
            assert_eq!(details(Some(text)), [1, 2]);
        }
        assert_eq!((details(Some("*")), details(None)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date() {
        let clock = Clock::starting_at(Duration::from_secs(784_111_777));
        let of = |text| retry_after(&fields(&[("retry-after", text)]), &clock).map(|wait| wait.as_secs_f64().round());
        assert_eq!(of(" 3 "), Some(3.0));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20.0));
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn a_page_is_no_word_of_a_collector() {
        let of = |kind, status, body: &str| of_http(status, &fields(&[("content-type", kind)]), body.as_bytes());
        let page = of("text/html; charset=utf-8", 200, "<html>hello</html>");
        assert_eq!(page, Verdict::Refused("it answered 200 with text/html: is that a collector?".to_owned()));
        for kind in ["application/x-protobuf", "Application/X-Protobuf; x=y"] {
            assert_eq!(of(kind, 200, ""), Verdict::WHOLE, "{kind}");
        }
        assert_eq!(of("application/json", 200, "{}"), Verdict::WHOLE, "it was taken, and is answered in another form");
        assert_eq!(of("text/plain", 200, ""), Verdict::WHOLE, "it says nothing");
        assert_eq!(of_http(200, &fields(&[]), b"ok"), Verdict::WHOLE, "nor what it says it in");
        assert!(matches!(of("text/html", 503, "<html>"), Verdict::Later { .. }), "a failure is one in any form");
    }
}
