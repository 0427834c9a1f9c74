//! A body that is sent a second time beside the first (`hedge`): its copy is there once all of it has passed, and was
//! kept.

use std::sync::{Arc, OnceLock};

use super::RequestBody;
use crate::clock::Clock;
use crate::context::HeaderRules;
use crate::replay::Replay;
use crate::timer::Deadlines;

/// A body that may be sent a second time while it is still being sent once.
pub enum Twin {
    /// It cannot.
    Never,
    /// There is none.
    Empty,
    /// It can, once all of it has passed and was kept.
    Kept(Box<Kept>),
}

/// What a second body is made of.
pub struct Kept {
    whole: Arc<OnceLock<Replay>>,
    deadlines: Arc<Deadlines>,
    clock: Clock,
    rules: Arc<HeaderRules>,
}

/// A body to be sent a second time.
#[derive(Debug)]
pub enum Again {
    /// All of it.
    Whole(RequestBody),
    /// The client is still sending it.
    Later,
    /// It was not kept.
    Never,
}

impl Twin {
    /// The body from its beginning, if all of it has passed.
    pub fn body(&self) -> Again {
        let kept = match self {
            Self::Never => return Again::Never,
            Self::Empty => return Again::Whole(RequestBody::Empty),
            Self::Kept(kept) => kept,
        };
        match kept.whole.get() {
            Some(replay) => {
                let (deadlines, clock) = (Arc::clone(&kept.deadlines), kept.clock.clone());
                Again::Whole(RequestBody::again(replay.copy(), deadlines, clock, Arc::clone(&kept.rules)))
            }
            // Who would leave a copy is gone, or has let go of it.
            None if Arc::strong_count(&kept.whole) == 1 => Again::Never,
            None => Again::Later,
        }
    }
}

impl RequestBody {
    /// Lets it be sent a second time beside the first, if what passes of it is kept.
    pub fn twin(&mut self) -> Twin {
        let Self::Streaming(streaming) = self else { return Twin::Empty };
        let Some(replay) = streaming.replay.as_ref().filter(|replay| replay.stays()) else { return Twin::Never };
        let whole = Arc::<OnceLock<Replay>>::default();
        if replay.has_ended() {
            // All of it was read for routing: no end will be seen any more.
            let _ = whole.set(replay.copy());
        } else {
            streaming.twin = Some(Arc::clone(&whole));
        }
        Twin::Kept(Box::new(Kept {
            whole,
            deadlines: Arc::clone(&streaming.deadlines),
            clock: streaming.clock.clone(),
            rules: Arc::clone(&streaming.rules),
        }))
    }
}
