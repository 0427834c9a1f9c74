//! What requests of a turn are: what is spoken, and what they carry.

use std::net::SocketAddr;

use loadgen::control::{Answer, ControlError, call_with};
use loadgen::request::{Dice, Protocol, Template, Text, TokenKey};
use loadgen::target::Target;

use super::turn::bytes_target;
use crate::scenario::model::RequestPart;

/// Requests at once on a connection of HTTP/2.
const STREAMS: usize = 8;
/// What stands before a message of gRPC: a flag, and its length.
const PREFIX: u64 = 5;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speech {
    /// `GET /bytes/N` in HTTP/1.1.
    #[default]
    Http1,
    /// The same in HTTP/2, by prior knowledge.
    Http2,
    /// Unary calls of gRPC that are answered with the message that they bring.
    Grpc,
}

/// What is spoken; headers, with placeholders; and what signs the tokens in them. Or requests of somebody's own.
#[derive(Debug, Default)]
pub struct Luggage {
    /// What is sent in place of `GET /bytes/N`, in HTTP/1.1; empty where nobody has requests of their own.
    pub requests: Vec<RequestPart>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Signs each token once; turns share them.
    pub key: Option<TokenKey>,
    /// What is spoken.
    pub speech: Speech,
}

impl Luggage {
    /// What is sent to this address: what somebody has of their own, or the one request for so many bytes.
    pub(super) fn templates(&self, name: &str, address: SocketAddr, bytes: u64) -> Vec<Template> {
        match self.requests.is_empty() {
            true => vec![self.template(name, address, bytes)],
            false => self.requests.iter().map(|request| request.template(address)).collect(),
        }
    }

    /// The request to this address whose answer has, or whose message and answer have, this many bytes.
    pub(super) fn template(&self, name: &str, address: SocketAddr, bytes: u64) -> Template {
        let mut template = Template::get(name, bytes_target(address, bytes));
        template.expect.body_bytes = Some(bytes);
        if self.speech == Speech::Grpc {
            "POST".clone_into(&mut template.method);
            template.target = Target::plain(address, "/mocks.Echo/Unary");
            let length = u32::try_from(bytes).unwrap_or(u32::MAX);
            // Bytes that are no text, so that none of them is a placeholder.
            template.body = [&[0][..], &length.to_be_bytes(), &vec![0xff; length as usize]].concat();
            template.expect.body_bytes = Some(PREFIX + u64::from(length));
            let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            template.headers = vec![header("content-type", "application/grpc"), header("te", "trailers")];
        }
        template.headers.extend_from_slice(&self.headers);
        template
    }

    /// What is spoken on a connection.
    pub(super) fn protocol(&self) -> Protocol {
        match self.speech {
            Speech::Http1 => Protocol::Http1,
            Speech::Http2 | Speech::Grpc => Protocol::Http2 { streams: STREAMS },
        }
    }

    /// Connections for this many requests at once.
    pub(super) fn connections(&self, at_once: usize) -> usize {
        match self.speech {
            Speech::Http1 => at_once,
            Speech::Http2 | Speech::Grpc => at_once.div_ceil(STREAMS),
        }
    }

    /// Sends one request that carries it, in HTTP/1.1.
    ///
    /// # Errors
    /// When the request cannot be sent, or no whole answer comes in time.
    pub(super) fn call(&self, target: &Target) -> Result<Answer, ControlError> {
        let render = |(name, value): &(String, String)| {
            let mut text = Text::parse(value).ok()?;
            text.mint(self.key.as_ref()).ok()?;
            Some((name.clone(), text.render(&mut Dice::new(1, 1), &Default::default())))
        };
        // What cannot be rendered is told when the mix is compiled.
        let headers: Vec<_> = self.headers.iter().filter_map(render).collect();
        call_with(target, "GET", &headers, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_brings_a_whole_message_and_expects_it_back() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        for (bytes, prefix) in [(0_u64, [0, 0, 0, 0, 0]), (123, [0, 0, 0, 0, 123]), (512, [0, 0, 0, 2, 0])] {
            let call = Luggage { speech: Speech::Grpc, ..Luggage::default() }.template("a", address, bytes);
            assert_eq!(call.body[..5], prefix);
            assert_eq!((call.body.len() as u64, call.expect.body_bytes), (bytes + 5, Some(bytes + 5)));
            assert_eq!((call.method.as_str(), call.target.path.as_str()), ("POST", "/mocks.Echo/Unary"));
        }
        let get = Luggage::default().template("a", address, 512);
        assert_eq!((get.target.path.as_str(), get.expect.body_bytes), ("/bytes/512", Some(512)));
    }

    #[test]
    fn requests_of_somebodys_own_take_the_place_of_bytes() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(Luggage::default().templates("a", address, 512)[0].target.path, "/bytes/512");
        let request = RequestPart {
            method: "POST".to_owned(),
            path: "/orders/{seq}".to_owned(),
            headers: Vec::new(),
            body: "{}".to_owned(),
            weight: 3,
            expect: vec![201],
            expect_headers: Vec::new(),
        };
        let own = Luggage { requests: vec![request], ..Luggage::default() };
        let templates = own.templates("a", address, 512);
        assert_eq!((templates.len(), templates[0].target.path.as_str()), (1, "/orders/{seq}"));
        assert_eq!((templates[0].weight, templates[0].expect.body_bytes), (3, None));
    }

    #[test]
    fn as_many_requests_are_at_once_whatever_is_spoken() {
        let http2 = Luggage { speech: Speech::Http2, ..Luggage::default() };
        assert_eq!((Luggage::default().connections(64), http2.connections(64), http2.connections(1)), (64, 8, 1));
        assert_eq!(http2.protocol(), Protocol::Http2 { streams: 8 });
    }
}
