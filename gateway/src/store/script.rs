//! The scripts that run in a store, and calls of them.

use std::sync::LazyLock;

use redis::Cmd;
use smallvec::SmallVec;

/// A script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Takes a request's tokens from several buckets, or gives them back: `charge.lua`.
    Charge,
    /// Takes several tokens from one bucket, or gives them back: `lease.lua`.
    Lease,
    /// Says that this gateway is alive: `alive.lua`.
    Alive,
    /// Uses a token up that holds once: `use_up.lua`.
    UseUp,
    /// Looks whether a key is there: `is_there.lua`.
    IsThere,
}

static CHARGE: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("charge.lua")));
static LEASE: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("lease.lua")));
static ALIVE: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("alive.lua")));
static USE_UP: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("use_up.lua")));
static IS_THERE: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("is_there.lua")));

impl Script {
    /// Its text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Charge => include_str!("charge.lua"),
            Self::Lease => include_str!("lease.lua"),
            Self::Alive => include_str!("alive.lua"),
            Self::UseUp => include_str!("use_up.lua"),
            Self::IsThere => include_str!("is_there.lua"),
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Lease => "lease",
            Self::Alive => "alive",
            Self::UseUp => "use_up",
            Self::IsThere => "is_there",
        }
    }

    /// The name under which a store knows it once it has seen it.
    pub(super) fn hash(self) -> &'static str {
        match self {
            Self::Charge => CHARGE.get_hash(),
            Self::Lease => LEASE.get_hash(),
            Self::Alive => ALIVE.get_hash(),
            Self::UseUp => USE_UP.get_hash(),
            Self::IsThere => IS_THERE.get_hash(),
        }
    }
}

/// The numbers that `charge.lua` is told of a bucket, and which of them says what it lacks at least; `lease.lua` has it
/// in the same place.
const NUMBERS_OF_A_BUCKET: usize = 6;
const FLOOR: usize = 2;

/// A call of a script.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which.
    pub script: Script,
    /// The keys that it touches, all of one slot.
    pub keys: SmallVec<[String; 2]>,
    /// What it is told: numbers.
    pub numbers: SmallVec<[i64; 8]>,
    /// What it is told before them, where that is a text.
    pub text: Option<String>,
}

impl Call {
    /// A call without keys.
    pub fn new(script: Script) -> Self {
        Self { script, keys: SmallVec::new(), numbers: SmallVec::new(), text: None }
    }

    /// The command. A store that has not seen the script needs its text. One that is there for so long, nanoseconds,
    /// has all that is younger: it is told what a bucket lacks at least only where that may be older.
    pub(super) fn command(&self, with_text: bool, there_for: u64) -> Cmd {
        let mut command = Cmd::with_capacity(3 + self.keys.len() + self.numbers.len(), 192);
        if with_text {
            command.arg("EVAL").arg(self.script.text());
        } else {
            command.arg("EVALSHA").arg(self.script.hash());
        }
        command.arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        if let Some(text) = &self.text {
            command.arg(text);
        }
        for (at, number) in self.numbers.iter().enumerate() {
            command.arg(if self.is_vain_floor(at, there_for) { 0 } else { *number });
        }
        command
    }

    /// Both scripts that have buckets are told what one lacks at least right behind the time in which it fills.
    fn is_vain_floor(&self, at: usize, there_for: u64) -> bool {
        at % NUMBERS_OF_A_BUCKET == FLOOR
            && matches!(self.script, Script::Charge | Script::Lease)
            && self.numbers[at - 1].unsigned_abs() <= there_for
    }
}
