//! A request that is asked about, as people write it.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Uri, Version};
use rustls::pki_types::CertificateDer;

use super::proxied::Told;
use crate::context::is_websocket;
use crate::context::target::routing_host;
use crate::request_fields::RequestFields;
use crate::tls::ClientCertificate;

/// A request to be explained.
#[derive(Debug, Clone)]
pub struct Question {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: RequestFields,
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    pub(super) client: Option<IpAddr>,
    /// What the trusted proxy says of it that asks.
    pub(super) told: Option<Told>,
    /// The name of the listener by which it comes, where one is said.
    pub(super) listener: Option<String>,
    /// The body, where it is JSON, and its length.
    pub(super) body: Option<(serde_json::Value, usize)>,
    /// Its URL is a WebSocket's.
    pub(super) is_websocket: bool,
    /// What of its URL no server is told, with its `#`.
    pub(super) fragment: Option<String>,
}

impl Question {
    /// Reads a question as people write it: the URL may be whole or only a path; headers are `name: value`. The URL of
    /// a WebSocket (`wss://`) is one of HTTP, by which it is opened (RFC 6455, section 3).
    ///
    /// # Errors
    /// Which part is not valid.
    pub fn parse(method: &str, url: &str, headers: &[&str]) -> Result<Self, String> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method:?} is not a method"))?;
        if !url.starts_with('/') && !url.contains("://") {
            return Err(format!("{url:?} is neither a URL nor a path: a path begins with a slash"));
        }
        let of_http = ["ws", "wss"].iter().zip(["http", "https"]).find_map(|(scheme, of_http)| {
            let (written, rest) = url.split_once("://")?;
            written.eq_ignore_ascii_case(scheme).then(|| format!("{of_http}://{rest}"))
        });
        let asked = of_http.as_deref().unwrap_or(url);
        let uri: Uri = asked.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        let mut map = RequestFields::new();
        for header in headers {
            let (name, value) = header.split_once(':').ok_or_else(|| format!("{header:?} is not `name: value`"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes())
                .map_err(|_| format!("{name:?} is not a header's name"))?;
            let value =
                HeaderValue::from_str(value.trim()).map_err(|_| format!("{value:?} is not a header's value"))?;
            map.append(&name, value);
        }
        let is_websocket = of_http.is_some();
        let fragment = url.find('#').map(|at| url[at..].to_owned());
        let (certificate, client, told, listener, body) = (None, None, None, None, None);
        Ok(Self { method, uri, headers: map, certificate, client, told, listener, body, is_websocket, fragment })
    }

    /// The same, asked on a connection whose client has shown these certificates (DER), its own first.
    pub fn with_certificate(self, chain: &[CertificateDer<'_>]) -> Self {
        Self { certificate: ClientCertificate::of(chain).map(Arc::new), ..self }
    }

    /// The same, asked by a client at this address; or by a trusted proxy, which tells in the headers for whom.
    pub fn asked_from(self, client: IpAddr) -> Self {
        Self { client: Some(client), ..self }
    }

    /// The same, asked by the listener of this name.
    pub fn by_listener(self, name: String) -> Self {
        Self { listener: Some(name), ..self }
    }

    /// The same with a body.
    pub fn with_body(self, body: &[u8]) -> Self {
        Self { body: crate::jws::parse_json(body).ok().map(|value| (value, body.len())), ..self }
    }

    /// The address by which its client is counted and told apart: that of a proxy, where that hides it.
    pub(super) fn counted_as(&self) -> Option<IpAddr> {
        self.told.as_ref().map(|told| told.client.ip).or(self.client)
    }

    /// What becomes of the fragment of its URL, where that has one (RFC 9110, section 4.2.5).
    pub(super) fn fragment_in_words(&self) -> Option<String> {
        let fragment = self.fragment.as_deref()?;
        Some(format!(
            "{fragment}: clients keep what stands behind a `#` to themselves, so that is not looked at; a target with \
             a `#` in it is 400 bad_request, and one that is meant as data is written %23"
        ))
    }

    /// Whether it says for which host it is.
    pub fn names_a_host(&self) -> bool {
        !self.host().is_empty()
    }

    pub(super) fn host(&self) -> String {
        self.stated_host().map(|host| routing_host(&host).into_owned()).unwrap_or_default()
    }

    /// The host with its port, as it is written.
    pub(super) fn stated_host(&self) -> Option<HeaderValue> {
        let header = self.headers.get(&http::header::HOST).map(|host| host.to_header_value());
        let authority = || HeaderValue::from_str(self.uri.authority()?.as_str()).ok();
        header.or_else(authority)
    }

    /// Whether its URL says that it comes over TLS; `None` where it is only a path.
    pub fn over_tls(&self) -> Option<bool> {
        self.uri.scheme_str().map(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// Whether it is asked whether a WebSocket opens: by its URL, or by its headers.
    pub(super) fn opens_websocket(&self) -> bool {
        self.is_websocket || is_websocket(&self.method, Version::HTTP_11, &self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_is_told_of_a_url_is_said() {
        for (url, told) in [("/a?b=c#d", Some("#d: ")), ("http://a.test/#", Some("#: ")), ("wss://a.test/x%23y", None)]
        {
            let question = Question::parse("GET", url, &[]).unwrap();
            let words = question.fragment_in_words();
            assert_eq!(words.is_some(), told.is_some(), "{url}");
            assert!(told.is_none_or(|told| words.unwrap().starts_with(told)), "{url}");
            assert!(!question.uri.to_string().contains('#'), "{url}");
        }
    }
}
