//! What is noted of calls that are made for a request, or for several: each call's own exchange leaves no record, so
//! its attempts are told by those that wait for it.

use std::sync::{Arc, Mutex, MutexGuard};

use super::notes::{Asked, AttemptNote, Notes};

use crate::locked::lock;

/// Notes that a call writes, and who waits for it reads. Bounded as those of one request.
#[derive(Debug, Clone)]
pub struct Calls {
    notes: Arc<Mutex<Notes>>,
    whose: Whose,
}

#[derive(Debug, Clone)]
enum Whose {
    /// Of a request: the calls are for its parts.
    Parts,
    /// Of the call for this part.
    Part(Arc<str>),
    /// Of a call that several may share.
    Shared,
    /// Of a request that waits for a shared call: the one that began it, or another.
    Waiting(bool),
}

impl Calls {
    /// For the parts of a request.
    pub fn for_parts() -> Self {
        Self { notes: Arc::default(), whose: Whose::Parts }
    }

    /// The same, for the call for one of them.
    #[must_use]
    pub fn of_part(&self, name: &Arc<str>) -> Self {
        Self { notes: Arc::clone(&self.notes), whose: Whose::Part(Arc::clone(name)) }
    }

    /// For a call that several requests may share.
    pub fn shared() -> Self {
        Self { notes: Arc::default(), whose: Whose::Shared }
    }

    /// The same, for a request that waits for it.
    #[must_use]
    pub fn waited_for(&self, is_first: bool) -> Self {
        Self { notes: Arc::clone(&self.notes), whose: Whose::Waiting(is_first) }
    }

    /// Who notes here is a call: what it does is told by others.
    pub fn is_of_call(&self) -> bool {
        matches!(self.whose, Whose::Part(_) | Whose::Shared)
    }

    /// Whether the request began the call that it shares, or joined another one's; `None` where it shares none.
    pub fn sharing(&self) -> Option<&'static str> {
        match self.whose {
            Whose::Waiting(is_first) => Some(if is_first { "began" } else { "joined" }),
            Whose::Parts | Whose::Part(_) | Whose::Shared => None,
        }
    }

    /// An attempt of the call.
    pub fn attempt(&self, attempt: AttemptNote) {
        self.notes().attempt(AttemptNote { part: self.part(), ..attempt });
    }

    /// An attempt of the call begins there.
    pub fn asks(&self, asked: Asked) {
        if let Whose::Shared = self.whose {
            self.notes().asked = Some(asked);
        }
    }

    /// Whom the call asked last, for a request that waits for it: also where nothing has come of that yet.
    pub fn asked(&self) -> Option<Asked> {
        if let Whose::Waiting(_) = self.whose { self.notes().asked.clone() } else { None }
    }

    /// What the call was sent.
    pub fn sent(&self, fields: Vec<u8>) {
        let mut notes = self.notes();
        (notes.sent, notes.sent_for) = (fields, self.part());
    }

    /// Whether anybody was asked.
    pub fn has_attempts(&self) -> bool {
        !self.notes().attempts.is_empty()
    }

    /// What was noted. A panic on the way leaves at worst half a note.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    fn part(&self) -> Option<Arc<str>> {
        if let Whose::Part(name) = &self.whose { Some(Arc::clone(name)) } else { None }
    }
}
