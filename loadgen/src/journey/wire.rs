//! What parent and child tell each other.
//!
//! The parent writes one line of JSON (a [`Job`]) to the child's standard input, waits for [`Message::Ready`], and
//! writes a second line (a [`Start`]). When it closes the input, the child ends. The child writes messages of
//! [`MESSAGE_BYTES`] each; all times are those of the machine's monotonic clock, which both read.

use serde::{Deserialize, Serialize};

use crate::sample::{Failure, Outcome, Sample};

/// The version of what is said here; a program of another build refuses it.
pub const PROTOCOL: u32 = 1;
/// The length of every message.
pub const MESSAGE_BYTES: usize = 80;
/// Stands for a number that is not there.
const NONE: u64 = u64::MAX;

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The text of the file of journeys.
    pub file: String,
    /// Where requests go, as `http://127.0.0.1:8080`; users are spread over them.
    pub targets: Vec<String>,
    /// How many users there are at once.
    pub users: u32,
    /// How many of them begin a second; all at once when `None`.
    pub spawn_per_s: Option<f64>,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// What signs tokens.
    pub key: Option<Key>,
}

/// A key, and what its tokens have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The private key in PEM.
    pub pem: String,
    /// The settings of tokens.
    pub settings: crate::request::TokenSettings,
}

/// When the users begin and when they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The first request, nanoseconds of the machine's monotonic clock.
    pub from_ns: u64,
    /// After this no request begins.
    pub until_ns: u64,
}

/// What the child tells.
#[derive(Debug, Clone, Copy)]
pub enum Message {
    /// All users are there and wait.
    Ready,
    /// A request ended.
    Sample(Sample),
    /// A page was there with all of its parts, or was not.
    Page {
        /// The step's number.
        step: u32,
        /// When the document was asked for.
        from_ns: u64,
        /// When the last part was there.
        end_ns: u64,
        /// Everything was as expected.
        whole: bool,
    },
    /// A user came to the end of its journey, or gave it up.
    Journey {
        /// The journey's number in the file.
        journey: u32,
        /// When it began.
        from_ns: u64,
        /// When it ended.
        end_ns: u64,
        /// It was gone to its end.
        whole: bool,
    },
    /// How it goes, about ten times a second, and at the end.
    Tick {
        /// CPU time of the child since the start, nanoseconds.
        cpu_ns: u64,
        /// Requests in flight.
        in_flight: u64,
        /// Connections are reqwest's own and are not counted; samples that could not be told are.
        lost: u64,
    },
}

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; MESSAGE_BYTES] {
        let mut words = [0_u64; MESSAGE_BYTES / 8];
        match self {
            Self::Ready => words[0] = u64::from(PROTOCOL) << 8,
            Self::Sample(sample) => {
                words = [
                    1,
                    sample.template as u64,
                    sample.intended_ns,
                    sample.sent_ns,
                    sample.head_ns,
                    sample.end_ns,
                    u64::from(sample.status)
                        | (outcome_code(sample.outcome) << 16)
                        | (failure_code(sample.failure) << 24),
                    sample.body_bytes,
                    sample.residence_ns.unwrap_or(NONE),
                    sample.endpoint.map_or(NONE, u64::from),
                ];
            }
            Self::Page { step, from_ns, end_ns, whole } => {
                words[..5].copy_from_slice(&[2, u64::from(*step), *from_ns, *end_ns, u64::from(*whole)]);
            }
            Self::Journey { journey, from_ns, end_ns, whole } => {
                words[..5].copy_from_slice(&[3, u64::from(*journey), *from_ns, *end_ns, u64::from(*whole)]);
            }
            Self::Tick { cpu_ns, in_flight, lost } => words[..4].copy_from_slice(&[4, *cpu_ns, *in_flight, *lost]),
        }
        let mut bytes = [0; MESSAGE_BYTES];
        for (into, word) in bytes.chunks_exact_mut(8).zip(words) {
            into.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The message of these bytes; `None` when they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; MESSAGE_BYTES]) -> Option<Self> {
        let mut words = [0_u64; MESSAGE_BYTES / 8];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().ok()?);
        }
        let short = |word: u64| u32::try_from(word).ok();
        let optional = |word: u64| (word != NONE).then_some(word);
        Some(match words[0] & 0xff {
            0 if words[0] >> 8 == u64::from(PROTOCOL) => Self::Ready,
            1 => Self::Sample(Sample {
                template: usize::try_from(words[1]).ok()?,
                intended_ns: words[2],
                sent_ns: words[3],
                head_ns: words[4],
                end_ns: words[5],
                status: u16::try_from(words[6] & 0xffff).ok()?,
                outcome: outcome_of(words[6] >> 16 & 0xff)?,
                failure: failure_of(words[6] >> 24 & 0xff)?,
                body_bytes: words[7],
                residence_ns: optional(words[8]),
                endpoint: optional(words[9]).and_then(|port| u16::try_from(port).ok()),
                // Users of journeys do not tell.
                refusal: None,
            }),
            2 => Self::Page { step: short(words[1])?, from_ns: words[2], end_ns: words[3], whole: words[4] == 1 },
            3 => Self::Journey { journey: short(words[1])?, from_ns: words[2], end_ns: words[3], whole: words[4] == 1 },
            4 => Self::Tick { cpu_ns: words[1], in_flight: words[2], lost: words[3] },
            _ => return None,
        })
    }
}

const OUTCOMES: [Outcome; 4] = [Outcome::Ok, Outcome::Rejected, Outcome::Failed, Outcome::ClientError];
const FAILURES: [Failure; 9] = [
    Failure::Connect,
    Failure::Closed,
    Failure::Reset,
    Failure::Malformed,
    Failure::Length,
    Failure::Timeout,
    Failure::Missing,
    Failure::Call,
    Failure::Header,
];

fn outcome_code(outcome: Outcome) -> u64 {
    OUTCOMES.iter().position(|known| *known == outcome).map_or(0xff, |code| code as u64)
}

fn outcome_of(code: u64) -> Option<Outcome> {
    OUTCOMES.get(usize::try_from(code).ok()?).copied()
}

fn failure_code(failure: Option<Failure>) -> u64 {
    failure.and_then(|failure| FAILURES.iter().position(|known| *known == failure)).map_or(0, |code| code as u64 + 1)
}

/// `Some(None)` is no failure; `None` no code.
fn failure_of(code: u64) -> Option<Option<Failure>> {
    match code {
        0 => Some(None),
        code => FAILURES.get(usize::try_from(code - 1).ok()?).map(|failure| Some(*failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(message: Message) {
        let read = Message::from_bytes(&message.to_bytes()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{message:?}"));
    }

    #[test]
    fn every_message_reads_back_as_it_was() {
        let sample = Sample {
            template: 3,
            intended_ns: 1,
            sent_ns: 2,
            head_ns: 3,
            end_ns: u64::MAX - 1,
            status: 503,
            body_bytes: 9,
            outcome: Outcome::Rejected,
            failure: None,
            residence_ns: None,
            endpoint: Some(65_535),
            refusal: None,
        };
        same(Message::Ready);
        for outcome in OUTCOMES {
            for failure in FAILURES.into_iter().map(Some).chain([None]) {
                same(Message::Sample(Sample { outcome, failure, residence_ns: Some(7), endpoint: None, ..sample }));
            }
        }
        same(Message::Sample(sample));
        same(Message::Page { step: 1, from_ns: 2, end_ns: 3, whole: true });
        same(Message::Journey { journey: 1, from_ns: 2, end_ns: 3, whole: false });
        same(Message::Tick { cpu_ns: 1, in_flight: 2, lost: 3 });
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut bytes = [0; MESSAGE_BYTES];
        assert!(Message::from_bytes(&bytes).is_none(), "another version");
        bytes[0] = 9;
        assert!(Message::from_bytes(&bytes).is_none());
        let mut sample = [0; MESSAGE_BYTES];
        (sample[0], sample[50]) = (1, 200);
        assert!(Message::from_bytes(&sample).is_none(), "no outcome");
    }
}
