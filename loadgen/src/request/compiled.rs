//! A template, compiled: either the same bytes each time, or a head and a body to render.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draws::{Draws, write_number};
use super::pattern::Pattern;
use super::token::{KeyError, TokenBank, TokenKey, TokenSpec};
use super::{Expectation, ExpectedHeader, Template, TemplateError, header, is_token};

/// One template, ready to send.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    message: Message,
    pub(crate) target: usize,
    pub(crate) is_head: bool,
    pub(crate) expect: Expectation,
    /// The headers that its answers are held against; `None` where there are none.
    pub(crate) headers: Option<Arc<[ExpectedHeader]>>,
}

#[derive(Debug, Clone)]
enum Message {
    /// The same each time. Shared: a mix is cloned for each run.
    Fixed(Arc<[u8]>),
    /// The head without its end, and the body; whether the head must say the body's length.
    Rendered { head: Pattern, body: Body, says_length: bool },
}

#[derive(Debug, Clone)]
enum Body {
    Fixed(Arc<[u8]>),
    Rendered(Pattern),
}

impl Prepared {
    /// Compiles a template for the `target`-th target of its mix. Tokens are minted here, with the key.
    pub(super) fn compile(template: &Template, target: usize, key: Option<&TokenKey>) -> Result<Self, TemplateError> {
        let (head, body) = minted(template, |spec| {
            let minted = key.ok_or(KeyError::Missing).and_then(|key| key.mint(spec));
            minted.map_err(|error| TemplateError::Token { name: template.name.clone(), error })
        })?;
        let says_length = !template.body.is_empty() || matches!(template.method.as_str(), "POST" | "PUT" | "PATCH");
        let is_head = template.method == "HEAD";
        let message = match (head.fixed(), body) {
            (Some(head), Body::Fixed(body)) => {
                let mut bytes = head.as_bytes().to_vec();
                end_head(&mut bytes, says_length.then_some(body.len()));
                bytes.extend_from_slice(&body);
                Message::Fixed(bytes.into())
            }
            (_, body) => Message::Rendered { head, body, says_length },
        };
        let expect = template.expect.clone();
        let headers = (!expect.headers.is_empty()).then(|| Arc::from(expect.headers.as_slice()));
        Ok(Self { message, target, is_head, expect, headers })
    }

    /// The bytes, where they are the same each time.
    pub(crate) fn fixed(&self) -> Option<&[u8]> {
        match &self.message {
            Message::Fixed(bytes) => Some(bytes),
            Message::Rendered { .. } => None,
        }
    }

    /// Writes the request with this number to `out`, unless it is the same each time; `scratch` is for its body.
    pub(super) fn render(&self, seed: u64, number: u64, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        let Message::Rendered { head, body, says_length } = &self.message else { return };
        let mut draws = Draws::new(seed, number);
        out.clear();
        head.render(&mut draws, number, out);
        let body: &[u8] = match body {
            Body::Fixed(bytes) => bytes,
            Body::Rendered(pattern) => {
                scratch.clear();
                pattern.render(&mut draws, number, scratch);
                scratch
            }
        };
        end_head(out, says_length.then_some(body.len()));
        out.extend_from_slice(body);
    }
}

/// Which keys a template's tokens are signed with.
pub(super) fn token_keys(template: &Template) -> Result<BTreeSet<Option<String>>, TemplateError> {
    let mut keys = BTreeSet::new();
    minted(template, |spec| {
        keys.insert(spec.key.clone());
        Ok(Arc::default())
    })?;
    Ok(keys)
}

/// The head without its end, and the body, with what `mint` gives for each token.
fn minted(
    template: &Template,
    mut mint: impl FnMut(&TokenSpec) -> Result<Arc<TokenBank>, TemplateError>,
) -> Result<(Pattern, Body), TemplateError> {
    let mut head = compile_head(template)?;
    let mut body = match std::str::from_utf8(&template.body) {
        Ok(text) => match parse(template, "body", text)? {
            pattern if pattern.fixed().is_some() => Body::Fixed(pattern.fixed().unwrap_or_default().as_bytes().into()),
            pattern => Body::Rendered(pattern),
        },
        Err(_) => Body::Fixed(template.body.as_slice().into()),
    };
    head.mint(&mut mint)?;
    if let Body::Rendered(pattern) = &mut body {
        pattern.mint(&mut mint)?;
    }
    Ok((head, body))
}

/// The head without its end.
fn compile_head(template: &Template) -> Result<Pattern, TemplateError> {
    check(template, "method", &template.method, is_token)?;
    let mut head = Pattern::literal(&format!("{} ", template.method));
    head.append(checked(template, "path", &template.target.path, |byte| byte.is_ascii_graphic())?);
    head.push_literal(" HTTP/1.1\r\n");
    if !template.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_literal(&format!("host: {}\r\n", template.target.authority));
    }
    for (name, value) in &template.headers {
        check(template, "header name", name, is_token)?;
        head.push_literal(&format!("{name}: "));
        head.append(checked(template, "header value", value, |byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))?);
        head.push_literal("\r\n");
    }
    if let Some(names) = header::to_show(&template.expect.headers) {
        head.push_literal(&format!("{}: {names}\r\n", header::SHOW));
    }
    Ok(head)
}

fn end_head(out: &mut Vec<u8>, length: Option<usize>) {
    if let Some(length) = length {
        out.extend_from_slice(b"content-length: ");
        write_number(length as i128, out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn parse(template: &Template, what: &'static str, text: &str) -> Result<Pattern, TemplateError> {
    let name = || template.name.clone();
    let pattern = Pattern::parse(text).map_err(|error| TemplateError::Pattern { name: name(), what, error })?;
    let mut values = Vec::new();
    pattern.values(&mut values);
    match values.first() {
        None => Ok(pattern),
        Some(value) => Err(TemplateError::Value { name: name(), what, value: (*value).to_owned() }),
    }
}

/// A pattern of which every literal holds allowed bytes only; what placeholders become is harmless.
fn checked(
    template: &Template,
    what: &'static str,
    text: &str,
    allowed: fn(u8) -> bool,
) -> Result<Pattern, TemplateError> {
    let pattern = parse(template, what, text)?;
    let mut literals = Vec::new();
    pattern.literals(&mut literals);
    for literal in literals {
        check(template, what, literal, allowed)?;
    }
    Ok(pattern)
}

fn check(template: &Template, what: &'static str, text: &str, allowed: fn(u8) -> bool) -> Result<(), TemplateError> {
    if !text.is_empty() && text.bytes().all(allowed) || text.is_empty() && what == "header value" {
        return Ok(());
    }
    Err(TemplateError::Characters { name: template.name.clone(), what, text: text.to_owned() })
}
