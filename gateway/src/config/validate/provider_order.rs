//! Providers of a route that are never asked, since one before them takes all that they would. As `identity/` chooses:
//! the first whose credential is there decides, and bearer tokens are told apart by their look.

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::schema::identity::API_KEY;
use crate::config::source::Span;
use crate::config::tree::{Node, Table};

/// What a provider takes, of what requests bring.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Takes {
    /// Bearer tokens, whatever they look like.
    Tokens,
    /// Signed ones that say they are this issuer's.
    TokensOf(String),
    /// What is in a header of this name.
    Header(String),
    /// The client's certificate.
    Certificate,
}

impl Takes {
    fn of(provider: &Table) -> Option<Self> {
        let in_header = |name: &str| Self::Header(name.to_ascii_lowercase());
        Some(match provider.get("kind")?.text()? {
            "jwt" => Self::TokensOf(provider.get("issuer")?.text()?.to_owned()),
            "introspection" => Self::Tokens,
            "api_key" => in_header(&Reader::new(Some(provider), None, &API_KEY, Span::default()).text("header")),
            "custom" => provider.get("header").and_then(Node::text).map_or(Self::Tokens, in_header),
            "mtls" => Self::Certificate,
            _ => return None,
        })
    }

    /// Whether nothing is left of what the other one takes.
    fn leaves_nothing_to(&self, other: &Self) -> bool {
        self == other || *self == Self::Tokens && matches!(other, Self::TokensOf(_))
    }

    fn shown(&self) -> String {
        match self {
            Self::Tokens => "every bearer token".to_owned(),
            Self::TokensOf(issuer) => format!("every token of the issuer {}", quoted(issuer)),
            Self::Header(name) => format!("every credential in the header {}", quoted(name)),
            Self::Certificate => "every certificate".to_owned(),
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Tokens => "put it behind those that know their own tokens (`jwt`), or give each a route of its own",
            Self::TokensOf(_) => "write their audiences and keys into one provider, or give each a route of its own",
            Self::Header(_) | Self::Certificate => "take one of them out, or give each a route of its own",
        }
    }
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
