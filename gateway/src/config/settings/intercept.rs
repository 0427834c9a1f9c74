//! `intercept`: which answers of an upstream the gateway gives itself, so that nothing of them but their status is
//! seen.

use std::collections::BTreeSet;
use std::fmt;

use http::StatusCode;

/// Statuses of errors; one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intercept(Box<[u16]>);

impl Intercept {
    /// These statuses, in any order; `None` where there is none.
    pub fn new(statuses: impl IntoIterator<Item = u16>) -> Option<Self> {
        let statuses: BTreeSet<u16> = statuses.into_iter().collect();
        (!statuses.is_empty()).then(|| Self(statuses.into_iter().collect()))
    }

    /// Whether answers with this status are not passed on.
    pub fn has(&self, status: StatusCode) -> bool {
        self.0.binary_search(&status.as_u16()).is_ok()
    }

    /// All of them, the lowest first.
    pub fn statuses(&self) -> impl Iterator<Item = StatusCode> {
        self.0.iter().filter_map(|status| StatusCode::from_u16(*status).ok())
    }

    /// Whether there are some whose first digit this is.
    pub fn has_some_of(&self, digit: u16) -> bool {
        self.0.iter().any(|status| status / 100 == digit)
    }
}

impl fmt::Display for Intercept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let follows = |pair: &u16, next: &u16| pair + 1 == *next;
        for (position, run) in self.0.chunk_by(follows).enumerate() {
            let (first, last) = (run[0], run[run.len() - 1]);
            f.write_str(if position == 0 { "" } else { ", " })?;
            match (first % 100, last - first) {
                (0, 99) => write!(f, "{}xx", first / 100)?,
                (_, 0) => write!(f, "{first}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_shown_as_they_would_be_written() {
        let shown = |statuses: &[std::ops::RangeInclusive<u16>]| {
            Intercept::new(statuses.iter().cloned().flatten()).map(|it| it.to_string())
        };
        assert_eq!(shown(&[500..=599]).as_deref(), Some("5xx"));
        assert_eq!(shown(&[502..=504, 404..=404, 500..=500]).as_deref(), Some("404, 500, 502-504"));
        assert_eq!(shown(&[400..=599]).as_deref(), Some("400-599"));
        assert_eq!(shown(&[]), None);
    }
}
