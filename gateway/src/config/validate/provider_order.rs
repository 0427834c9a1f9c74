//! Providers of a route that are never asked, since one before them takes all that they would. As `identity/` chooses:
//! the first whose credential is there decides, and bearer tokens are told apart by their look.

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::schema::identity::API_KEY;
use crate::config::source::Span;
use crate::config::tree::{Node, Table};
use crate::config::value::text;

/// What a provider takes, of what requests bring.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Takes {
    /// Tokens in these places, whatever they look like.
    Tokens(Vec<String>),
    /// Signed ones there that say they are this issuer's.
    TokensOf(String, Vec<String>),
    /// What is in a header of this name.
    Header(String),
    /// Passwords.
    Passwords,
    /// The client's certificate.
    Certificate,
}

/// Where bearer tokens are.
const BEARER: &str = "header";

impl Takes {
    fn of(provider: &Table) -> Option<Self> {
        let in_header = |name: &str| Self::Header(name.to_ascii_lowercase());
        Some(match provider.get("kind")?.text()? {
            "jwt" => Self::TokensOf(provider.get("issuer")?.text()?.to_owned(), places(provider)),
            "introspection" => Self::Tokens(places(provider)),
            "api_key" => in_header(&Reader::new(Some(provider), None, &API_KEY, Span::default()).text("header")),
            "custom" => match provider.get("header").and_then(Node::text) {
                Some(name) => in_header(name),
                None => Self::Tokens(vec![BEARER.to_owned()]),
            },
            "basic" => Self::Passwords,
            "mtls" => Self::Certificate,
            _ => return None,
        })
    }

    /// Whether nothing is left of what the other one takes.
    fn leaves_nothing_to(&self, other: &Self) -> bool {
        let all = |theirs: &[String], ours: &[String]| theirs.iter().all(|place| ours.contains(place));
        match (self, other) {
            (Self::Tokens(ours), Self::Tokens(theirs) | Self::TokensOf(_, theirs)) => all(theirs, ours),
            (Self::TokensOf(ours_of, ours), Self::TokensOf(theirs_of, theirs)) => {
                ours_of == theirs_of && all(theirs, ours)
            }
            _ => self == other,
        }
    }

    fn shown(&self) -> String {
        let there = |places: &[String]| match places {
            [place] if place == BEARER => String::new(),
            places => format!(" in {}", places.join(", ")),
        };
        match self {
            Self::Tokens(places) if *places == [BEARER] => "every bearer token".to_owned(),
            Self::Tokens(places) => format!("every token{}", there(places)),
            Self::TokensOf(issuer, places) => format!("every token of the issuer {}{}", quoted(issuer), there(places)),
            Self::Header(name) => format!("every credential in the header {}", quoted(name)),
            Self::Passwords => "every password".to_owned(),
            Self::Certificate => "every certificate".to_owned(),
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Tokens(_) => {
                "put it behind those that know their own tokens (`jwt`), or give each a route of its own"
            }
            Self::TokensOf(..) => "write their audiences and keys into one provider, or give each a route of its own",
            Self::Header(_) | Self::Passwords | Self::Certificate => {
                "take one of them out, or give each a route of its own"
            }
        }
    }
}

/// Where a provider's tokens are, headers in small letters.
fn places(provider: &Table) -> Vec<String> {
    let written = provider.get("token_from").and_then(Node::list).unwrap_or(&[]).iter().filter_map(Node::text);
    let places: Vec<String> = written.filter_map(|text| Some(text::token_place(text).ok()?.to_string())).collect();
    if places.is_empty() { vec![BEARER.to_owned()] } else { places }
}

/// Each provider of a route can be asked.
pub(crate) fn reachable(context: &mut Context<'_>, auth: &Reader<'_>) {
    let mut before: Vec<(&str, Takes)> = Vec::new();
    for node in auth.nodes("providers") {
        let Some(name) = node.text() else { continue };
        let Some(takes) = context.provider(name).and_then(Takes::of) else { continue };
        match before.iter().find(|(_, earlier)| earlier.leaves_nothing_to(&takes)) {
            Some((first, earlier)) => {
                let message =
                    format!("{} is never asked: {} before it takes {}", quoted(name), quoted(first), earlier.shown());
                context.report.warning(node.at, message, earlier.help());
            }
            None => before.push((name, takes)),
        }
    }
}
