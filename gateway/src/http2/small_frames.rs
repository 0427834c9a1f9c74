//! Small frames that `h2` holds for one stream.
//!
//! `h2` counts the bytes that wait, and spends some 250 more on each frame: a peer that reads nothing while a body
//! comes byte by byte would make it hold hundreds of times what it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;

/// Frames from this size on are bounded well enough by their bytes.
pub(super) const SMALL_BYTES: usize = 1024;

/// What `h2` charges for a DATA frame that nobody has taken: what it is short of these bytes.
const CHARGED_BELOW: usize = 256;

/// What a connection is charged at most before `h2` ends it, so that frames of `least` bytes may fill all of `window`.
pub(crate) const fn frame_budget(window: usize, least: usize) -> usize {
    (window / least).saturating_mul(CHARGED_BELOW - least)
}

/// The first small frames of a body are not counted. Most bodies have no more.
const UNCOUNTED: u8 = 16;

/// Of the others as many may wait at once.
const MOST_HELD: usize = 32;

/// The small frames of one body.
#[derive(Debug, Default)]
pub(super) struct SmallFrames {
    uncounted: u8,
    held: Option<Arc<Held>>,
}

/// Those that are counted and have not left, and who waits until one has.
#[derive(Debug, Default)]
struct Held {
    count: AtomicUsize,
    waker: AtomicWaker,
}

/// One of them. `h2` drops it when it has left, or never will.
struct Frame {
    bytes: Box<[u8]>,
    held: Arc<Held>,
}

impl SmallFrames {
    /// Ready when `h2` may be given another one.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let Some(held) = &self.held else { return Poll::Ready(()) };
        if held.has_room() {
            return Poll::Ready(());
        }
        held.waker.register(cx.waker());
        // It may have left since it was looked at.
        if held.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A frame as it may be given to `h2`.
    pub(super) fn frame(&mut self, bytes: Bytes) -> Bytes {
        if self.uncounted < UNCOUNTED {
            self.uncounted += 1;
            return bytes;
        }
        let held = Arc::clone(self.held.get_or_insert_default());
        held.count.fetch_add(1, Ordering::AcqRel);
        // A copy: a byte must not keep the buffer that it was read into.
        Bytes::from_owner(Frame { bytes: Box::from(&bytes[..]), held })
    }
}

impl Held {
    fn has_room(&self) -> bool {
        self.count.load(Ordering::Acquire) < MOST_HELD
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.held.count.fetch_sub(1, Ordering::AcqRel) == MOST_HELD {
            self.held.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::woken::Woken;

    #[test]
    fn d_only_so_many_wait_at_once_and_who_waits_is_woken_when_one_has_left() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let (mut small, mut waiting) = (SmallFrames::default(), Vec::new());
        while small.poll_room(&cx).is_ready() {
            waiting.push(small.frame(Bytes::from_static(b"x")));
            assert!(waiting.iter().all(|frame| frame == "x") && waiting.len() < 100);
        }
        assert_eq!(waiting.len(), usize::from(UNCOUNTED) + MOST_HELD);
        waiting.remove(0);
        assert!(small.poll_room(&cx).is_pending() && woken.times() == 0, "that one is not counted");
        waiting.pop();
        assert_eq!(woken.times(), 1);
        assert!(small.poll_room(&cx).is_ready());
        // Whoever holds the last ones may do so for longer than the body is read.
        drop(small);
        waiting.clear();
    }
}
