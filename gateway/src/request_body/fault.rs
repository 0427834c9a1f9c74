//! Why a request's body is not whole.

/// Why a request body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Not valid HTTP: 400.
    Malformed,
    /// Larger than allowed: 413.
    TooLarge,
    /// Did not move in time: 408.
    Stalled,
    /// The client left: nobody to answer.
    ClientLeft,
}

impl std::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the request body is malformed",
            Self::TooLarge => "the request body is too large",
            Self::Stalled => "the request body did not move in time",
            Self::ClientLeft => "the client left in the middle of the request body",
        })
    }
}

impl std::error::Error for BodyFault {}
