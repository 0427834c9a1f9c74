//! What operators are told of the access log itself: that it cannot be written, or can be again, and that it drops.

/// Looks that pass between two words about drops: while they go on, one is enough for a minute.
const QUIET_LOOKS: u32 = 12;

/// What was seen of the log, and told, so far.
#[derive(Debug, Default)]
pub struct Health {
    failures: u64,
    failing: bool,
    told_dropped: u64,
    quiet: u32,
}

/// What is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// It began to fail, or is well again.
    pub failing: Option<bool>,
    /// So many records were dropped since this was told last.
    pub dropped: Option<u64>,
}

impl Health {
    /// Looks at how many writes have failed since the start, whether the log fails now, and how many records were
    /// dropped since the start. To be asked again and again at the same distance.
    pub fn look(&mut self, (failures, is_failing): (u64, bool), dropped: u64) -> News {
        let fails = is_failing || failures > self.failures;
        self.failures = failures;
        let turned = std::mem::replace(&mut self.failing, fails) != fails;
        self.quiet = self.quiet.saturating_sub(1);
        let more = dropped.saturating_sub(self.told_dropped);
        let tells = more > 0 && self.quiet == 0;
        if tells {
            (self.told_dropped, self.quiet) = (dropped, QUIET_LOOKS);
        }
        News { failing: turned.then_some(fails), dropped: tells.then_some(more) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_when_they_begin_and_end_and_drops_once_in_a_while_with_all_of_them() {
        let mut health = Health::default();
        assert_eq!(health.look((0, false), 0), News::default());
        assert_eq!(health.look((3, false), 5), News { failing: Some(true), dropped: Some(5) });
        assert_eq!(health.look((4, false), 9), News::default(), "both are known");
        assert_eq!(health.look((4, true), 9), News::default(), "what is tried again in long pauses fails meanwhile");
        assert_eq!(health.look((4, false), 9), News { failing: Some(false), dropped: None });
        let told: Vec<Option<u64>> = (0..QUIET_LOOKS).map(|_| health.look((4, false), 9).dropped).collect();
        let told: Vec<&Option<u64>> = told.iter().filter(|told| told.is_some()).collect();
        assert_eq!(told, [&Some(4)], "what came later is told too, even where nothing follows");
    }
}
