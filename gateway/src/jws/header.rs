//! The protected header (RFC 7515, section 4): what of it is looked at, and what is never.

use serde_json::{Map, Value};

use super::{Algorithm, Refusal, base64url, json};

/// What a header says that matters. `jwk`, `jku`, `x5u` and `x5c` are not here: a token does not bring its own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `alg`
    pub algorithm: Algorithm,
    /// `kid`
    pub kid: Option<Box<str>>,
    /// `typ`, as written.
    pub typ: Option<Box<str>>,
}

impl Header {
    /// Reads a header from its part of a token.
    ///
    /// # Errors
    /// Why a token with it is refused, whatever its signature is.
    pub(super) fn decode(part: &[u8]) -> Result<Self, Refusal> {
        let bytes = base64url::decode(part).ok_or(Refusal::Base64)?;
        let Ok(Value::Object(members)) = json::parse(&bytes) else { return Err(Refusal::Header) };
        // No extension is understood, so none that must be can be there (RFC 7515, section 4.1.11). An unencoded
        // payload without `crit` (RFC 7797, section 6) means different things to different readers.
        if members.contains_key("crit") || members.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
            return Err(Refusal::Critical);
        }
        let algorithm = text(&members, "alg")?.and_then(|alg| Algorithm::named(&alg)).ok_or(Refusal::Algorithm)?;
        Ok(Self { algorithm, kid: text(&members, "kid")?, typ: text(&members, "typ")? })
    }

    /// Whether `typ` is this media type: without regard to case, and `application/` may be left out where nothing else
    /// has a slash (RFC 7515, section 4.1.9).
    pub fn is_typ(&self, accepted: &str) -> bool {
        let short = |typ: &str| {
            let lower = typ.to_ascii_lowercase();
            lower.strip_prefix("application/").filter(|rest| !rest.contains('/')).map(str::to_owned).unwrap_or(lower)
        };
        self.typ.as_ref().is_some_and(|typ| short(typ) == short(accepted))
    }
}

/// A member that is text where it is there.
fn text(members: &Map<String, Value>, name: &str) -> Result<Option<Box<str>>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) if name == "alg" => Err(Refusal::Algorithm),
        Some(_) => Err(Refusal::Header),
    }
}
