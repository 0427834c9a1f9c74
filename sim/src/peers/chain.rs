//! What contenders do for a request. `--chain full` is every policy on, and requests that make each of them work:
//! 200 routes by host, 10,000 subjects (zipf) with an RS256 token each, 100,000 keys of the limit. Each peer is
//! configured with the nearest equal chain, and says what it lacks. Beside them runs nginx as a bare proxy, with the
//! same requests.

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use loadgen::request::KeyError;

use crate::rounds::luggage::{Luggage, Speech};
use crate::run::RunKeys;
use crate::scenario::model::{TokenAlgorithm, TokenPart};

/// Routes, and lines of a template that stand for one of them.
pub(super) const ROUTES: usize = 200;
/// Tokens outlive the longest comparison.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What contenders do for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Chain {
    /// They pass it on.
    #[default]
    #[value(alias = "plain")]
    Bare,
    /// Route, token, limit, breaker, ids, identity headers, metrics, access log.
    Full,
    /// They pass it on, from clients that speak HTTP/2 to a service that speaks HTTP/1.1.
    Http2,
    /// They pass on unary calls of gRPC.
    Grpc,
}

impl Chain {
    /// Its word, on the command line and in results.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Full => "full",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }

    /// Whether clients speak HTTP/2.
    pub(crate) fn is_http2(self) -> bool {
        self.speech() != Speech::Http1
    }

    fn speech(self) -> Speech {
        match self {
            Self::Bare | Self::Full => Speech::Http1,
            Self::Http2 => Speech::Http2,
            Self::Grpc => Speech::Grpc,
        }
    }
}

/// What requests carry, and what contenders are configured with to judge them.
#[derive(Debug, Default)]
pub(super) struct Equipment {
    /// The headers of requests.
    pub(super) luggage: Luggage,
    /// Public keys, as a JWK set.
    pub(super) jwks: String,
    /// The RSA one of them in PEM.
    rsa_public: String,
}

impl Equipment {
    /// For a chain.
    ///
    /// # Errors
    /// When no keys can be made.
    pub(super) fn of(chain: Chain) -> Result<Self, KeyError> {
        let speech = chain.speech();
        if chain != Chain::Full {
            return Ok(Self { luggage: Luggage { speech, ..Luggage::default() }, ..Self::default() });
        }
        let (issuer, audience) = (Some("https://idp.test".to_owned()), Some("api".to_owned()));
        let keys = RunKeys::make(&TokenPart {
            algorithm: TokenAlgorithm::Rs256,
            issuer,
            audience,
            lifetime: LIFETIME,
            keys: Vec::new(),
        })?;
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("host", &format!("s{{int(1, {ROUTES})}}.test")),
            header("authorization", "Bearer {token(subject=user-{zipf(10000)}, scope=read)}"),
            header("x-client", "c{int(1, 100000)}"),
        ];
        let jwks = keys.set().to_owned();
        let luggage = Luggage { headers, key: Some(keys.signing), speech, ..Luggage::default() };
        Ok(Self { luggage, jwks, rsa_public: keys.rsa_public })
    }

    /// Writes what configurations name.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        if self.rsa_public.is_empty() { Ok(()) } else { std::fs::write(folder.join("public.pem"), &self.rsa_public) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_have_the_words_of_the_command_line() {
        for chain in Chain::value_variants() {
            assert_eq!(Chain::from_str(chain.word(), false), Ok(*chain));
        }
    }

    #[test]
    fn requests_of_the_full_chain_carry_a_token() {
        assert!(Equipment::of(Chain::Bare).unwrap().luggage.headers.is_empty());
        let equipment = Equipment::of(Chain::Full).unwrap();
        assert!(equipment.luggage.headers.iter().any(|(_, value)| value.starts_with("Bearer {token(")));
        let folder = tempfile::tempdir().unwrap();
        equipment.write(folder.path()).unwrap();
        let pem = std::fs::read_to_string(folder.path().join("public.pem")).unwrap();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
    }
}
