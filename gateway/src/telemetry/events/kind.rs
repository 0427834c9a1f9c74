//! What events are about, and which kinds a reader wants.

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A reload, whatever came of it.
    Reload,
    /// A drain began.
    Drain,
    /// An exchange with an endpoint ended. Reported only while somebody asks for it.
    Attempt,
    /// A breaker changed its state.
    Breaker,
    /// An endpoint left balancing, came back, or has to stay in.
    Ejection,
    /// Checks of an endpoint have come to another verdict.
    Health,
    /// A rate limit decided. Reported only while somebody asks for it.
    Limit,
    /// Something is turned away to protect the gateway or an upstream, or is not any more.
    Shed,
    /// Keys were fetched, changed, or grow old.
    Keys,
    /// A store answered for the first time, died or healed.
    Store,
    /// A collector does not take all spans, or does again.
    Tracing,
    /// An upstream's name cannot be resolved, or can be again.
    Discovery,
    /// A client's TLS handshake failed.
    Handshake,
    /// An issuer does not say whether tokens hold, or does again.
    Issuer,
    /// A listener's certificate, or its list of revoked ones, ends soon, or has ended.
    Certificate,
    /// The access log cannot be written, or can be again.
    Log,
    /// The system's clock was set.
    ClockStep,
    /// The program around the gateway does not say whose requests are.
    ClientUnknown,
    /// The admin API was asked to change something.
    Admin,
    /// An upstream's backups take requests, or do not any more.
    Backup,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Reload,
        Self::Drain,
        Self::Attempt,
        Self::Breaker,
        Self::Ejection,
        Self::Health,
        Self::Limit,
        Self::Shed,
        Self::Keys,
        Self::Store,
        Self::Tracing,
        Self::Discovery,
        Self::Handshake,
        Self::Issuer,
        Self::Certificate,
        Self::Log,
        Self::ClockStep,
        Self::ClientUnknown,
        Self::Admin,
        Self::Backup,
    ];

    /// As written in events and in `?kinds=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Drain => "drain",
            Self::Attempt => "attempt",
            Self::Breaker => "breaker",
            Self::Ejection => "ejection",
            Self::Health => "health",
            Self::Limit => "limit",
            Self::Shed => "shed",
            Self::Keys => "keys",
            Self::Store => "store",
            Self::Tracing => "tracing",
            Self::Discovery => "discovery",
            Self::Handshake => "handshake",
            Self::Issuer => "issuer",
            Self::Certificate => "certificate",
            Self::Log => "log",
            Self::ClockStep => "clock_step",
            Self::ClientUnknown => "client_unknown",
            Self::Admin => "admin",
            Self::Backup => "backup",
        }
    }

    /// Whether it happens with each request, so that it is reported only while somebody asks for it.
    pub fn is_frequent(self) -> bool {
        matches!(self, Self::Attempt | Self::Limit)
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// Every kind but the frequent ones.
    pub fn rare() -> Self {
        Kind::ALL.into_iter().filter(|kind| !kind.is_frequent()).collect()
    }

    /// Names separated by commas; empty means every kind but the frequent ones.
    ///
    /// # Errors
    /// The name that is no kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let find = |name: &str| Kind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(name.to_owned());
        let kinds: Self = names.map(find).collect::<Result<_, _>>()?;
        Ok(if kinds.0 == 0 { Self::rare() } else { kinds })
    }

    /// Whether the kind is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << (kind as u8) != 0
    }

    /// The frequent kinds among them.
    pub(super) fn frequent(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| kind.is_frequent() && self.has(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | 1 << (kind as u8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_and_a_wrong_one_is_named() {
        assert_eq!(Kinds::parse(""), Ok(Kinds::rare()));
        assert_eq!(Kinds::parse(" attempt , drain"), Ok([Kind::Attempt, Kind::Drain].into_iter().collect()));
        assert_eq!(Kinds::parse("drain,colour"), Err("colour".to_owned()));
        assert!(!Kinds::rare().has(Kind::Attempt) && Kinds::rare().has(Kind::Drain));
    }
}
