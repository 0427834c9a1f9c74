//! What to send: request templates, written out once, and a seeded choice among them by weight.

use std::net::SocketAddr;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

use crate::target::Target;

/// A request to send many times.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name in results.
    pub name: String,
    /// Where it goes.
    pub target: Target,
    /// The method (a token, upper case by custom).
    pub method: String,
    /// More headers, in order. `host` and `content-length` are written for you; a `host` given here replaces ours.
    pub headers: Vec<(String, String)>,
    /// The body; empty means none.
    pub body: Vec<u8>,
    /// Its share of a mix, relative to the others'; zero is never sent.
    pub weight: u32,
    /// What answer it expects.
    pub expect: Expectation,
}

/// The answer that a request expects; anything else is counted as an outcome of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The statuses that are right; empty means 200 to 399.
    pub statuses: Vec<u16>,
    /// The exact length of the body, where it is known.
    pub body_bytes: Option<u64>,
}

impl Expectation {
    /// Whether a status is one of those expected.
    #[must_use]
    pub fn accepts_status(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..400).contains(&status) } else { self.statuses.contains(&status) }
    }
}

/// Why a template cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Characters that HTTP does not allow there.
    #[error("request `{name}`: {what} `{text}` holds characters that HTTP does not allow there")]
    Characters {
        /// The template's name.
        name: String,
        /// Which part.
        what: &'static str,
        /// The part.
        text: String,
    },
    /// Nothing to choose from.
    #[error("a mix needs at least one request with a weight above zero")]
    Empty,
}

impl Template {
    /// A `GET` of the target, weight one, expecting any 2xx or 3xx.
    #[must_use]
    pub fn get(name: &str, target: Target) -> Self {
        let expect = Expectation::default();
        let (name, method) = (name.to_owned(), "GET".to_owned());
        Self { name, target, method, headers: Vec::new(), body: Vec::new(), weight: 1, expect }
    }

    /// The request's bytes on the wire.
    ///
    /// # Errors
    /// When a part holds characters that would end it early (a space in the path, a line break in a header).
    pub fn encode(&self) -> Result<Vec<u8>, TemplateError> {
        let check = |what, text: &str, allowed: fn(u8) -> bool| {
            if text.bytes().all(allowed) {
                return Ok(());
            }
            Err(TemplateError::Characters { name: self.name.clone(), what, text: text.to_owned() })
        };
        check("method", &self.method, is_token)?;
        check("path", &self.target.path, |byte| byte.is_ascii_graphic())?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("host: {}\r\n", self.target.authority);
        }
        for (name, value) in &self.headers {
            check("header name", name, is_token)?;
            check("header value", value, |byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))?;
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }
}

/// `token` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// One template, ready to send.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) target: usize,
    pub(crate) is_head: bool,
    pub(crate) expect: Expectation,
}

/// Templates to choose from by weight.
#[derive(Debug, Clone)]
pub struct Mix {
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) targets: Vec<SocketAddr>,
    names: Vec<String>,
    /// For each template its weight.
    weights: Vec<u32>,
    rng: Pcg64,
}

impl Mix {
    /// Writes the templates out; the choice among them is drawn from `seed`.
    ///
    /// # Errors
    /// When a template cannot be sent, or none has a weight above zero.
    pub fn new(templates: &[Template], seed: u64) -> Result<Self, TemplateError> {
        let mut targets: Vec<SocketAddr> = Vec::new();
        let mut prepared = Vec::with_capacity(templates.len());
        for template in templates {
            let address = template.target.address;
            let target = targets.iter().position(|known| *known == address).unwrap_or_else(|| {
                targets.push(address);
                targets.len() - 1
            });
            let bytes = template.encode()?.into_boxed_slice();
            let is_head = template.method == "HEAD";
            prepared.push(Prepared { bytes, target, is_head, expect: template.expect.clone() });
        }
        if templates.iter().all(|template| template.weight == 0) {
            return Err(TemplateError::Empty);
        }
        let weights = templates.iter().map(|template| template.weight).collect();
        let names = templates.iter().map(|template| template.name.clone()).collect();
        // Another stream than the plan's, which is drawn from the same seed.
        let rng = Pcg64::seed_from_u64(seed ^ 0x6d69_785f_6f66_7265);
        Ok(Self { prepared, targets, names, weights, rng })
    }

    /// The name of a template, by its number in samples.
    #[must_use]
    pub fn name(&self, template: usize) -> &str {
        &self.names[template]
    }

    /// Draws a template among all.
    pub(crate) fn pick(&mut self) -> usize {
        if self.prepared.len() == 1 { 0 } else { self.pick_where(|_| true) }
    }

    /// Draws a template among those of one target.
    pub(crate) fn pick_for(&mut self, target: usize) -> usize {
        if self.targets.len() == 1 { self.pick() } else { self.pick_where(|prepared| prepared.target == target) }
    }

    fn pick_where(&mut self, wanted: impl Fn(&Prepared) -> bool) -> usize {
        let weight = |index: usize| if wanted(&self.prepared[index]) { u64::from(self.weights[index]) } else { 0 };
        let total: u64 = (0..self.weights.len()).map(weight).sum();
        let draw = if total == 0 { 0 } else { self.rng.next_u64() % total };
        let mut passed = 0;
        let weight = |index: usize| if wanted(&self.prepared[index]) { u64::from(self.weights[index]) } else { 0 };
        let found = (0..self.weights.len()).find(|index| {
            passed += weight(*index);
            draw < passed
        });
        // Only a target whose templates all weigh nothing gets here; its first template is as good as any.
        found.unwrap_or_else(|| self.prepared.iter().position(&wanted).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(path: &str) -> Template {
        Template::get("t", Target::parse(&format!("http://127.0.0.1:9{path}"), false).unwrap())
    }

    #[test]
    fn a_request_is_written_as_http_wants_it() {
        let mut post = template("/a?b=c");
        post.method = "POST".to_owned();
        post.headers = vec![("x-a".to_owned(), "1".to_owned())];
        post.body = b"hello".to_vec();
        let expected = "POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:9\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(String::from_utf8(post.encode().unwrap()).unwrap(), expected);
        assert_eq!(template("/").encode().unwrap(), b"GET / HTTP/1.1\r\nhost: 127.0.0.1:9\r\n\r\n");
    }

    #[test]
    fn nothing_can_break_out_of_its_line() {
        let mut header = template("/");
        header.headers = vec![("x".to_owned(), "1\r\ny: 2".to_owned())];
        let mut method = template("/");
        method.method = "GET /".to_owned();
        for bad in [header, method] {
            assert!(matches!(bad.encode(), Err(TemplateError::Characters { .. })));
        }
    }

    #[test]
    fn weights_are_kept_and_the_seed_decides() {
        let templates: Vec<Template> = [1, 0, 3]
            .into_iter()
            .map(|weight| {
                let mut one = template("/");
                one.weight = weight;
                one
            })
            .collect();
        let draw = |seed| {
            let mut mix = Mix::new(&templates, seed).unwrap();
            (0..40_000).map(|_| mix.pick()).collect::<Vec<_>>()
        };
        let picks = draw(5);
        let count = |index| picks.iter().filter(|pick| **pick == index).count();
        assert_eq!(count(1), 0);
        assert!((9_500..10_500).contains(&count(0)), "{}", count(0));
        assert_eq!(picks, draw(5));
        assert_ne!(picks, draw(6));
    }

    #[test]
    fn a_target_gets_only_its_own_requests() {
        let other = Template::get("o", Target::parse("http://127.0.0.1:10/", false).unwrap());
        let mut mix = Mix::new(&[template("/"), other, template("/b")], 1).unwrap();
        assert_eq!(mix.targets.len(), 2);
        for _ in 0..100 {
            assert_ne!(mix.pick_for(0), 1);
            assert_eq!(mix.pick_for(1), 1);
        }
    }
}
