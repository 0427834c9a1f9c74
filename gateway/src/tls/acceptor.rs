//! What a listener's settings come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig};

use super::by_name::ByName;
use super::client_roots::{ClientCertificate, ClientRoots, InForce, Shown, with_lists};
use super::expiry::Ends;
use super::secured::Secured;
use super::{HTTP_2, HTTP_11};
use crate::config::settings::listener::{ClientCertificates, ListenerTls};

/// Takes handshakes of one listener, under one configuration.
pub struct Acceptor {
    pub(super) config: Arc<ServerConfig>,
    certificates: Arc<ByName>,
    /// Who signs for the listener's clients, and the number of those who do here.
    in_force: Arc<InForce>,
    number: u64,
    /// Lists say which certificates were taken back.
    revokes: bool,
    /// Its certificates and lists of revoked ones, by whose they are and when they end.
    pub(super) ends: Box<[Ends]>,
}

impl Acceptor {
    /// For checked settings. Sessions are resumed by `tickets` where clients prove nothing; where they do, by tickets
    /// that no other listener takes, and no other configuration: who was believed there need not be believed here
    /// (CVE-2025-23419). Clients are offered HTTP/2 first, where `http2` says that it is spoken. Who signs for them is
    /// in force with it.
    ///
    /// # Errors
    /// Why rustls does not take them: no certificate of a client can be checked against these roots.
    pub(super) fn new(
        settings: &ListenerTls,
        tickets: Option<Arc<dyn ProducesTickets>>,
        http2: bool,
        in_force: &Arc<InForce>,
    ) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?;
        let lists = &settings.revoked;
        let verifier = |roots| {
            with_lists(WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider)), lists)
        };
        let verifier = match &settings.clients {
            ClientCertificates::Unwanted => None,
            ClientCertificates::Optional(roots) => Some(verifier(roots).allow_unauthenticated().build()),
            ClientCertificates::Required(roots) => Some(verifier(roots).build()),
        };
        let roots = match &settings.clients {
            ClientCertificates::Unwanted => None,
            ClientCertificates::Optional(roots) | ClientCertificates::Required(roots) => {
                Some(ClientRoots::with_lists(roots, lists)?)
            }
        };
        let (builder, tickets) = match verifier {
            None => (builder.with_no_client_auth(), tickets),
            Some(verifier) => {
                let verifier = verifier.map_err(|error| error.to_string())?;
                (builder.with_client_cert_verifier(verifier), new_tickets())
            }
        };
        let certificates = Arc::new(ByName::new(settings));
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = if http2 { vec![HTTP_2.to_vec(), HTTP_11.to_vec()] } else { vec![HTTP_11.to_vec()] };
        if let Some(tickets) = tickets {
            config.ticketer = tickets;
        }
        // Lists decide nothing where nobody is asked for a certificate.
        let in_use = lists.iter().filter(|_| roots.is_some());
        let ends = certificates.all().filter_map(Ends::of).chain(in_use.filter_map(Ends::of_list));
        let ends: BTreeSet<Ends> = ends.collect();
        let (in_force, number) = (Arc::clone(in_force), in_force.set(roots));
        let (revokes, config) = (!lists.is_empty(), Arc::new(config));
        Ok(Self { ends: ends.into_iter().collect(), config, certificates, in_force, number, revokes })
    }

    /// What a finished handshake says of the client, and of whom it took us for.
    pub(super) fn secured(&self, connection: &rustls::ServerConnection) -> Secured {
        let name = connection.server_name();
        let client = connection.peer_certificates().and_then(ClientCertificate::of);
        // Whoever resumes a session was looked up when it began.
        let is_old = self.revokes && connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let client = client.map(|client| match Arc::clone(&self.in_force) {
            in_force if is_old => Shown::resumed(client, in_force),
            in_force => Shown::new(client, in_force, self.number),
        });
        Secured::new(name, self.certificates.find(name).cloned(), client)
    }
}

/// Keys of tickets, changed every few hours. `None` where the system has no randomness: then nothing is resumed.
pub(super) fn new_tickets() -> Option<Arc<dyn ProducesTickets>> {
    aws_lc_rs::Ticketer::new().ok()
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::*;
    use crate::tls::by_name::tests::certificate;

    fn of(clients: ClientCertificates) -> Result<Acceptor, String> {
        let default = Some(certificate(&["a.test"]));
        let settings = ListenerTls {
            default,
            named: [].into(),
            staples: [].into(),
            clients,
            revoked: [].into(),
            files: [].into(),
        };
        Acceptor::new(&settings, new_tickets(), true, &Arc::default())
    }

    #[test]
    fn g_nothing_is_taken_before_the_handshake_is_done() {
        let acceptor = of(ClientCertificates::Unwanted).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(acceptor.config.max_early_data_size, 0, "what could be sent again by others");
        assert!(!acceptor.config.send_half_rtt_data);
    }

    #[test]
    fn a_listener_that_wants_certificates_and_can_check_none_takes_nobody() {
        let none = || Arc::new(RootCertStore::empty());
        assert!(of(ClientCertificates::Required(none())).is_err());
        assert!(of(ClientCertificates::Optional(none())).is_err());
        assert!(of(ClientCertificates::Unwanted).is_ok());
    }
}
