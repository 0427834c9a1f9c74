//! Templates to choose from by weight.

use std::net::SocketAddr;

use super::draws::Draws;
use super::{Prepared, Template, TemplateError, TokenKey};
use crate::announce::ProxyProtocol;
use crate::connection::http2::can_say;
use crate::tls::Tls;

/// Another stream than the plan's, which is drawn from the same seed, and than the placeholders'.
const CHOICE: u64 = 0x6d69_785f_6f66_7265;

/// Templates to choose from by weight. Which one a request is, and what its placeholders become, depends on the seed
/// and on its number alone.
#[derive(Debug, Clone)]
pub struct Mix {
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) targets: Vec<SocketAddr>,
    names: Vec<String>,
    /// For each template its weight.
    weights: Vec<u32>,
    seed: u64,
    pub(crate) protocol: Protocol,
    /// How connections are secured, where they are.
    pub(crate) tls: Option<Tls>,
    /// How connections name the client whose they are, where they do.
    pub(crate) announces: Option<ProxyProtocol>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One request at a time.
    Http1,
    /// Without an upgrade: by prior knowledge in the clear, by ALPN over TLS.
    Http2 {
        /// Most requests at once on a connection; at least one.
        streams: usize,
    },
}

impl Mix {
    /// Compiles the templates; the choice among them, and their placeholders, are drawn from `seed`.
    ///
    /// # Errors
    /// When a template cannot be sent, needs tokens, or none has a weight above zero.
    pub fn new(templates: &[Template], seed: u64) -> Result<Self, TemplateError> {
        Self::with_tokens(templates, seed, None)
    }

    /// As [`Mix::new`], with a key for the tokens that templates hold. All are minted here.
    ///
    /// # Errors
    /// When a template cannot be sent, its tokens cannot be minted, or none has a weight above zero.
    pub fn with_tokens(templates: &[Template], seed: u64, key: Option<&TokenKey>) -> Result<Self, TemplateError> {
        let mut targets: Vec<SocketAddr> = Vec::new();
        let mut prepared = Vec::with_capacity(templates.len());
        for template in templates {
            let address = template.target.address;
            let target = targets.iter().position(|known| *known == address).unwrap_or_else(|| {
                targets.push(address);
                targets.len() - 1
            });
            prepared.push(Prepared::compile(template, target, key)?);
        }
        if templates.iter().all(|template| template.weight == 0) {
            return Err(TemplateError::Empty);
        }
        let weights = templates.iter().map(|template| template.weight).collect();
        let names = templates.iter().map(|template| template.name.clone()).collect();
        Ok(Self { prepared, targets, names, weights, seed, protocol: Protocol::Http1, tls: None, announces: None })
    }

    /// The same requests in another protocol. Their `host` becomes `:authority`; headers about an HTTP/1.1 connection
    /// (`connection`, `keep-alive`, `transfer-encoding`, `upgrade`) have no place in HTTP/2 and are left out.
    ///
    /// # Errors
    /// When a request cannot be said in HTTP/2: its path is no URI.
    pub fn speaking(self, protocol: Protocol) -> Result<Self, TemplateError> {
        if protocol == Protocol::Http1 {
            return Ok(Self { protocol, ..self });
        }
        for (index, name) in self.names.iter().enumerate() {
            let (mut scratch, mut out) = (Vec::new(), Vec::new());
            let bytes = self.bytes(index, 0, &mut scratch, &mut out);
            if !can_say(bytes) {
                let text = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
                return Err(TemplateError::Characters { name: name.clone(), what: "request line", text });
            }
        }
        Ok(Self { protocol, ..self })
    }

    /// The same requests over TLS.
    #[must_use]
    pub fn secured(self, tls: Tls) -> Self {
        let asks_for_http2 = self.protocol != Protocol::Http1;
        Self { tls: Some(if asks_for_http2 { tls.asking_for_http2() } else { tls }), ..self }
    }

    /// The same requests as a balancer passes them on: each connection begins with a header that names its client.
    #[must_use]
    pub fn announcing(self, version: ProxyProtocol) -> Self {
        Self { announces: Some(version), ..self }
    }

    /// The bytes of the request with this number, as HTTP/1.1 writes them; `scratch` and `out` hold them where they are
    /// not the same each time.
    pub(crate) fn bytes<'a>(
        &'a self,
        template: usize,
        number: u64,
        scratch: &mut Vec<u8>,
        out: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        self.render(template, number, scratch, out);
        self.prepared[template].fixed().unwrap_or(out)
    }

    /// The name of a template, by its number in samples.
    #[must_use]
    pub fn name(&self, template: usize) -> &str {
        &self.names[template]
    }

    /// Draws the template of the request with this number.
    pub(crate) fn draw(&self, number: u64) -> usize {
        if self.prepared.len() == 1 { 0 } else { self.draw_where(number, |_| true) }
    }

    /// Draws a template among those of one target.
    pub(crate) fn draw_for(&self, target: usize, number: u64) -> usize {
        if self.targets.len() == 1 {
            self.draw(number)
        } else {
            self.draw_where(number, |prepared| prepared.target == target)
        }
    }

    /// Writes the request with this number, unless it is the same each time.
    pub(crate) fn render(&self, template: usize, number: u64, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        self.prepared[template].render(self.seed, number, scratch, out);
    }

    fn draw_where(&self, number: u64, wanted: impl Fn(&Prepared) -> bool) -> usize {
        let weight = |index: usize| if wanted(&self.prepared[index]) { u64::from(self.weights[index]) } else { 0 };
        let total: u64 = (0..self.weights.len()).map(weight).sum();
        let drawn = if total == 0 { 0 } else { Draws::new(self.seed ^ CHOICE, number).below(total) };
        let mut passed = 0;
        let found = (0..self.weights.len()).find(|index| {
            passed += weight(*index);
            drawn < passed
        });
        // Only a target whose templates all weigh nothing gets here; its first template is as good as any.
        found.unwrap_or_else(|| self.prepared.iter().position(&wanted).unwrap_or(0))
    }
}
