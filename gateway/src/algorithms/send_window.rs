//! How many calls may be under way to a server so that they are answered in time.
//!
//! A server that is asked for more than it can do answers all of it too late, and then it has worked for nobody. What
//! it cannot do in time is better not sent. So the number under way grows while answers come soon, and shrinks by as
//! much as they come later than that: a window by delay, as in TCP Vegas. What an answer takes while hardly anything
//! is under way is the way's own time, which no window makes shorter.

/// With so few under way, nobody waits for others; no window is smaller.
pub const FEW: usize = 8;
/// The first window.
pub const FIRST: usize = 32;
/// Of the time above the way's own that an answer may take, the part that it should take.
const PART: u64 = 4;
/// How the way's own time follows what is measured.
const SMOOTHING: u64 = 8;
/// The part of the window that leaves at once.
const AT_ONCE: usize = 4;
/// The part by which the window grows once it has been too large.
const CAREFUL: usize = 8;

/// A window; times are in nanoseconds.
#[derive(Debug)]
pub struct SendWindow {
    size: usize,
    most: usize,
    /// What the way itself takes; 0 where nothing is known.
    base: u64,
    /// It was too large once.
    careful: bool,
}

impl SendWindow {
    /// One that is never larger than this.
    pub fn new(most: usize) -> Self {
        Self { size: FIRST.min(most), most, base: 0, careful: false }
    }

    /// How many calls may be under way.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many may leave at once while so many are under way: never the whole window, or the server would stand still
    /// while answers and the next calls are on the way.
    pub fn room(&self, under_way: usize) -> usize {
        self.size.saturating_sub(under_way).min((self.size / AT_ONCE).max(FEW))
    }

    /// So many calls took so long when, with them, `under_way` were; they may take so long at most.
    pub fn took(&mut self, (calls, under_way): (usize, usize), took: u64, may_take: u64) {
        if took <= may_take {
            self.base = match self.base {
                0 => took,
                base if under_way <= FEW => base - base / SMOOTHING + took / SMOOTHING,
                base => base.min(took),
            };
        }
        let base = self.base.min(may_take);
        let should = base + (may_take - base) / PART;
        if took > should {
            if under_way > FEW {
                let fits = (under_way as u128 * u128::from(should) / u128::from(took)) as usize;
                self.size = self.size.min(fits.max(FEW));
                self.careful = true;
            }
        } else if 2 * under_way >= self.size {
            let more = if self.careful { calls / CAREFUL + 1 } else { calls };
            self.size = (self.size + more).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const US: u64 = 1_000;
    const MS: u64 = 1_000 * US;
    const MAY_TAKE: u64 = 20 * MS;
    const MOST: usize = 2_048;

    /// A way that takes so long to a server that needs so long for each call; calls in time each second, when there
    /// are always more, and the largest window of the last half.
    fn run(way: u64, each: u64, seconds: u64) -> (u64, usize) {
        let (mut window, mut out, mut under_way) = (SendWindow::new(MOST), VecDeque::new(), 0);
        let (mut now, mut free_at, mut good, mut largest) = (0, 0, 0, 0);
        while now < seconds * 1_000 * MS {
            while let calls @ 1.. = window.room(under_way) {
                under_way += calls;
                free_at = now.max(free_at) + calls as u64 * each;
                out.push_back((now, free_at + way, calls, under_way));
            }
            let (departed, back, calls, with) = out.pop_front().unwrap();
            now = now.max(back);
            under_way -= calls;
            window.took((calls, with), back - departed, MAY_TAKE);
            if now > seconds * 500 * MS {
                largest = largest.max(window.size());
                good += if back - departed <= MAY_TAKE { calls as u64 } else { 0 };
            }
        }
        (good * 2 / seconds, largest)
    }

    #[test]
    fn a_server_works_all_the_time_and_for_nobody_in_vain() {
        for (way, each) in [(MS / 2, 10 * US), (5 * MS, 50 * US), (5 * MS, 200 * US), (8 * MS, 100 * US), (0, MS)] {
            let ((good, largest), can) = (run(way, each, 4), 1_000 * MS / each);
            assert!(good * 100 >= can * 95, "{way} {each}: {good} of {can}");
            assert!(largest as u64 * each <= MAY_TAKE, "{way} {each}: {largest}");
        }
    }

    #[test]
    fn a_server_that_is_fast_enough_meets_no_window() {
        let (_, largest) = run(MS / 4, US, 1);
        assert_eq!(largest, MOST);
    }

    #[test]
    fn one_hiccup_of_a_few_calls_closes_nothing() {
        let mut window = SendWindow::new(MOST);
        window.took((1, 1), MS, MAY_TAKE);
        window.took((FEW, FEW), MAY_TAKE * 3, MAY_TAKE);
        assert_eq!(window.size(), FIRST);
    }

    #[test]
    fn a_way_that_becomes_longer_is_no_queue() {
        let mut window = SendWindow::new(MOST);
        let mut ask = |took: u64, times: usize| {
            for _ in 0..times {
                let calls = window.size();
                window.took((calls, calls), took, MAY_TAKE);
            }
            window.size()
        };
        assert_eq!(ask(MS, 20), MOST);
        // Nobody can know yet whether it is a queue; it goes as small as a window may be, and then it is none.
        assert!(ask(15 * MS, 200) > MOST / 2);
    }
}
