//! When listeners' certificates end, and their lists of revoked ones, and who is told of it: a line a day in the last
//! two weeks of a certificate, or in the last third of one that lives more shortly than six, and one at the end.
//!
//! A certificate that has ended is shown on: clients refuse it, and nothing else of the gateway would say so. A list
//! that has ended keeps out every client whose certificate its issuer has signed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::config::certificates::{DAY, alternative_names, days_left, soon, span};
use crate::config::revocation_lists;
use crate::network::Network;
use crate::shard::Shared;
use crate::telemetry::events::Event;
use crate::telemetry::notice;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// Names of one certificate that are told.
const MOST_NAMES: usize = 3;

/// What of a listener ends some day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// One of its certificates.
    Certificate,
    /// A list of clients' certificates that were taken back.
    RevocationList,
}

impl What {
    /// As it is called in lines, events and problems.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::RevocationList => "revocation_list",
        }
    }
}

/// Whose it is, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    pub(super) what: What,
    /// A certificate's first names, or its subject; a list's issuer.
    pub(super) names: Arc<str>,
    /// Seconds since the Unix epoch.
    pub(super) at_unix: i64,
    /// From how long before that it is told of, seconds.
    pub(super) soon: i64,
}

impl Ends {
    /// `None` for what cannot be read.
    pub(super) fn of(certificate: &CertifiedKey) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate.cert.first()?).ok()?;
        let (_, dns) = alternative_names(&parsed);
        let mut names = dns.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
        if dns.len() > MOST_NAMES {
            names.push_str(", ...");
        }
        if names.is_empty() {
            names = parsed.subject().to_string();
        }
        let validity = parsed.validity();
        Some(Self {
            what: What::Certificate,
            names: printable(&names),
            at_unix: validity.not_after.timestamp(),
            soon: soon(validity),
        })
    }

    /// `None` of one that cannot be read, or has no end.
    pub(super) fn of_list(list: &CertificateRevocationListDer<'_>) -> Option<Self> {
        let (_, parsed) = CertificateRevocationList::from_der(list).ok()?;
        let (at_unix, soon) = revocation_lists::end_and_soon(&parsed)?;
        let names = printable(&parsed.tbs_cert_list.issuer.to_string());
        Some(Self { what: What::RevocationList, names, at_unix, soon })
    }
}

fn printable(names: &str) -> Arc<str> {
    names.chars().filter(|c| !c.is_control()).collect::<String>().into()
}

/// What is in force at a listener until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Held {
    /// What it is.
    pub what: What,
    /// The listener's name, or its address.
    pub listener: Arc<str>,
    /// What a certificate is for; who has issued a list.
    pub names: Arc<str>,
    /// When it ends, seconds since the Unix epoch.
    pub ends_unix: i64,
    /// From how long before its end it is told of, seconds: it ought to have been replaced by then.
    pub soon: i64,
}

impl Held {
    /// Of one that ends soon, or has ended: since when that is so, seconds since the Unix epoch, and whether it is
    /// urgent.
    pub fn ending(&self, now_unix: i64) -> Option<(i64, bool)> {
        let left = self.ends_unix.saturating_sub(now_unix);
        let since = if left <= 0 { self.ends_unix } else { self.ends_unix - self.soon };
        (left <= self.soon).then_some((since, left <= DAY.min(self.soon / 3)))
    }

    /// How long it lasts, for people.
    pub fn in_words(&self, now_unix: i64) -> String {
        let left = self.ends_unix.saturating_sub(now_unix);
        let consequence = match self.what {
            What::Certificate => "clients refuse it",
            What::RevocationList => "no client is let in whose certificate its issuer has signed",
        };
        if left > 0 {
            format!("it ends in {}", span(left))
        } else {
            format!("it ended {} ago: {consequence}", span(left))
        }
    }
}

/// What was told.
#[derive(Debug, Default)]
struct Told(HashMap<Held, i64>);

impl Told {
    /// Those that are to be told of now, with the seconds that each lasts.
    fn look(&mut self, all: Vec<Held>, now_unix: i64) -> Vec<(Held, i64)> {
        self.0.retain(|known, _| all.contains(known));
        let is_news = |held: Held| {
            let left = held.ends_unix.saturating_sub(now_unix);
            let days = days_left(left);
            let is_near = held.ending(now_unix).is_some();
            let is_news = is_near && self.0.insert(held.clone(), days) != Some(days);
            is_news.then_some((held, left))
        };
        all.into_iter().filter_map(is_news).collect()
    }
}

/// Looks again and again, and tells.
pub(crate) async fn keep_telling<N: Network>(shared: Arc<Shared<N>>) {
    let mut told = Told::default();
    loop {
        let now = shared.clock.now();
        for (held, left) in told.look(shared.tls.held(), shared.clock.unix_seconds(now)) {
            notice::ends(shared.events.voice(), &held, left);
            shared.report(now, Event::Certificate { held, left });
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::by_name::tests::certificate;

    fn held(names: &str, ends_unix: i64) -> Held {
        Held { what: What::Certificate, listener: "web".into(), names: names.into(), ends_unix, soon: 14 * DAY }
    }

    #[test]
    fn a_certificate_is_told_of_each_day_of_its_last_two_weeks_and_once_at_its_end() {
        let (mut told, end) = (Told::default(), 100 * DAY);
        let mut days = Vec::new();
        // An hour after each other, from three weeks before to a week after.
        for hour in -21 * 24..7 * 24 {
            let now = end + hour * 3_600;
            days.extend(told.look(vec![held("a.test", end)], now).into_iter().map(|(_, left)| days_left(left)));
        }
        assert_eq!(days, (0..=14).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_certificate_that_lives_shortly_is_well_until_a_third_of_its_time_is_left() {
        let end = 100 * DAY;
        let day = Held { soon: DAY / 3, ..held("spiffe.test", end) };
        let hours = |left: i64| day.ending(end - left * 3_600);
        assert_eq!([hours(23), hours(9)], [None; 2]);
        assert_eq!([hours(8), hours(3)], [Some((end - DAY / 3, false)); 2]);
        assert_eq!([hours(2), hours(1)], [Some((end - DAY / 3, true)); 2], "somebody is to be woken");
        assert_eq!(hours(0), Some((end, true)));
        let long = held("a.test", end);
        assert_eq!([long.ending(end - 2 * DAY), long.ending(end - DAY)].map(|it| it.unwrap().1), [false, true]);
        // A minute after each other: one line when it nears its end, and one at that.
        let mut told = Told::default();
        let mut lines = |minute: i64| told.look(vec![day.clone()], end + minute * 60).into_iter();
        let lines: Vec<i64> = (-24 * 60..60).flat_map(|minute| lines(minute).map(|(_, left)| left)).collect();
        assert_eq!(lines, [8 * 3_600, 0]);
    }

    #[test]
    fn another_certificate_in_its_place_is_one_of_its_own() {
        let mut told = Told::default();
        let mut ends = |end: i64| told.look(vec![held("a.test", end)], 10 * DAY).len();
        assert_eq!([ends(11 * DAY), ends(11 * DAY), ends(12 * DAY), ends(90 * DAY), ends(11 * DAY)], [1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_certificate_is_called_by_its_first_names() {
        let ends = |names: &[&str]| Ends::of(&certificate(names)).unwrap().names.to_string();
        assert_eq!(ends(&["a.test"]), "a.test");
        assert_eq!(ends(&["a.test", "b.test", "c.test", "d.test"]), "a.test, b.test, c.test, ...");
    }

    #[test]
    fn how_long_it_lasts_is_said_in_words() {
        let certificate = held("a.test", 0);
        assert_eq!(certificate.in_words(60 - 3 * DAY), "it ends in 3 days");
        assert_eq!(certificate.in_words(-38), "it ends in 38 seconds");
        assert_eq!(certificate.in_words(7_300), "it ended 2 hours ago: clients refuse it");
        let list = Held { what: What::RevocationList, ..certificate };
        let ended = "it ended 2 hours ago: no client is let in whose certificate its issuer has signed";
        assert_eq!(list.in_words(7_300), ended);
        assert_eq!([days_left(-1), days_left(0), days_left(1), days_left(DAY), days_left(DAY + 1)], [0, 0, 1, 1, 2]);
    }
}
