//! How connections to an endpoint are made: in the clear, or with TLS, for HTTP/1 or HTTP/2; and what became of the
//! last handshake.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustls::HandshakeKind;
use tokio_rustls::client::TlsStream;

use super::carriers::Carriers;
use crate::clock::Clock;
use crate::config::settings::upstream::{Protocol, Target};
use crate::config::settings::upstream_tls::UpstreamTls;
use crate::network::ByteStream;
use crate::telemetry::metrics::{UpstreamHandshake, UpstreamSeries};
use crate::tls::{Connector, Unsecured};

/// The way in force. Another way has another number, and no connection that was made in one is used in another.
pub struct Way {
    /// Counts the endpoint's ways.
    pub(super) number: u32,
    /// `None` = in the clear.
    pub(super) tls: Option<TlsWay>,
    /// Connections of HTTP/2; `None` = HTTP/1 is spoken. They end with what they carry when the way does.
    pub(crate) carriers: Option<Carriers>,
}

/// The way of an endpoint that speaks TLS.
pub struct TlsWay {
    settings: Arc<UpstreamTls>,
    /// `None` where no certificate could be for the endpoint: then nobody is connected to, never in the clear.
    connector: Option<Connector>,
    failed: Mutex<Option<FailedHandshake>>,
}

/// The last handshake with an endpoint, as long as none has gone well since.
#[derive(Debug, Clone)]
pub struct FailedHandshake {
    /// When it failed.
    pub at: Instant,
    /// Why.
    pub why: Unsecured,
}

impl Way {
    /// The way that these settings ask for.
    pub(super) fn new(
        number: u32,
        (protocol, tls): (Protocol, Option<&Arc<UpstreamTls>>),
        target: &Target,
        workers: usize,
    ) -> Self {
        let tls = tls.map(|settings| TlsWay {
            connector: Connector::new(settings, target, protocol),
            settings: Arc::clone(settings),
            failed: Mutex::default(),
        });
        Self { number, tls, carriers: (protocol == Protocol::Http2).then(|| Carriers::new(workers)) }
    }

    /// Whether it is what these settings ask for.
    pub(super) fn is_for(&self, protocol: Protocol, tls: Option<&Arc<UpstreamTls>>) -> bool {
        if (protocol == Protocol::Http2) != self.carriers.is_some() {
            return false;
        }
        match (&self.tls, tls) {
            (None, None) => true,
            (Some(way), Some(wanted)) => Arc::ptr_eq(&way.settings, wanted) || *way.settings == **wanted,
            _ => false,
        }
    }

    /// TLS, where it is spoken.
    pub fn tls(&self) -> Option<&TlsWay> {
        self.tls.as_ref()
    }
}

impl TlsWay {
    /// The settings in force.
    pub fn settings(&self) -> &UpstreamTls {
        &self.settings
    }

    /// Who has to prove itself.
    pub fn name(&self) -> Option<String> {
        self.connector.as_ref().map(|connector| connector.name().to_str().into_owned())
    }

    /// The last handshake, if it failed.
    pub fn failed(&self) -> Option<FailedHandshake> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a handshake, and keeps what came of it. One that is dropped before its end is unfinished.
    pub(super) async fn connect<S: ByteStream>(
        &self,
        stream: S,
        (clock, series): (&Clock, &UpstreamSeries),
    ) -> Result<TlsStream<S>, Unsecured> {
        let mut outcome = Outcome { way: self, clock, series, of: None };
        let connected = match &self.connector {
            Some(connector) => connector.connect(stream).await,
            None => Err(Unsecured::plain(UpstreamHandshake::WrongName)),
        };
        let resumed = |stream: &TlsStream<S>| stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        outcome.of = Some(match &connected {
            Ok(stream) if resumed(stream) => Ok(UpstreamHandshake::Resumed),
            Ok(_) => Ok(UpstreamHandshake::Full),
            Err(why) => Err(why.clone()),
        });
        connected
    }

    /// Keeps what came of a handshake.
    pub(super) fn keep(&self, of: Result<UpstreamHandshake, Unsecured>, (clock, series): (&Clock, &UpstreamSeries)) {
        series.shook_hands(of.as_ref().map_or_else(|why| why.kind, |kind| *kind));
        let failed = of.err().map(|why| FailedHandshake { at: clock.now(), why });
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }
}

/// Kept when it is dropped.
struct Outcome<'a> {
    way: &'a TlsWay,
    clock: &'a Clock,
    series: &'a UpstreamSeries,
    /// `None` until the handshake has come to its end.
    of: Option<Result<UpstreamHandshake, Unsecured>>,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        let unfinished = || Err(Unsecured::plain(UpstreamHandshake::Unfinished));
        self.way.keep(self.of.take().unwrap_or_else(unfinished), (self.clock, self.series));
    }
}
