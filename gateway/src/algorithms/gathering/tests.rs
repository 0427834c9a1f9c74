//! Batches against a list of all that ever were, in virtual time.

use proptest::prelude::*;

use super::*;

/// A batch as the list remembers it.
#[derive(Debug, Clone)]
struct Remembered {
    key: u8,
    began: u64,
    /// Who is in it: the item that each wants.
    members: Vec<u8>,
    closed: Option<Reason>,
    taken: bool,
    done: bool,
    given_up: bool,
}

impl Remembered {
    fn items(&self) -> Vec<u8> {
        let mut items = self.members.clone();
        items.sort_unstable();
        items.dedup();
        items
    }

    fn is_kept(&self) -> bool {
        !self.taken && !self.given_up
    }

    fn is_open(&self) -> bool {
        self.closed.is_none() && !self.given_up
    }
}

/// The same by looking through everything.
#[derive(Debug, Default)]
struct Naive(Vec<Remembered>);

impl Naive {
    fn open(&self, key: u8) -> Option<usize> {
        self.0.iter().position(|batch| batch.key == key && batch.is_open())
    }

    fn is_idle(&self, key: u8) -> bool {
        !self.0.iter().any(|batch| batch.key == key && batch.closed.is_some() && !batch.done && !batch.given_up)
    }

    fn kept(&self) -> usize {
        self.0.iter().filter(|batch| batch.is_kept()).count()
    }

    /// The number of the batch, or none.
    fn join(&mut self, (key, item): (u8, u8), now: u64, terms: &Terms, most: usize) -> Option<usize> {
        if let Some(at) = self.open(key) {
            let items = self.0[at].items();
            let bytes: usize = items.iter().map(|item| usize::from(*item)).sum();
            if items.contains(&item) || bytes + usize::from(item) <= terms.most_bytes {
                self.0[at].members.push(item);
                if self.0[at].items().len() >= terms.most {
                    self.0[at].closed = Some(Reason::Full);
                }
                return Some(at);
            }
        }
        if self.kept() >= most {
            return None;
        }
        if let Some(at) = self.open(key) {
            self.0[at].closed = Some(Reason::Full);
        }
        let closed = if terms.most == 1 {
            Some(Reason::Full)
        } else if terms.window.is_zero() {
            Some(Reason::Window)
        } else if terms.adaptive && self.is_idle(key) {
            Some(Reason::Idle)
        } else {
            None
        };
        self.0.push(Remembered {
            key,
            began: now,
            members: vec![item],
            closed,
            taken: false,
            done: false,
            given_up: false,
        });
        Some(self.0.len() - 1)
    }

    /// Batches whose time has come are closed; nothing of a key under way any more closes what is open.
    fn settle(&mut self, now: u64, terms: &Terms) {
        for at in 0..self.0.len() {
            if self.0[at].is_open() && now >= self.0[at].began + terms.window.as_millis() as u64 {
                self.0[at].closed = Some(Reason::Window);
            }
        }
    }

    fn ended(&mut self, key: u8, terms: &Terms) {
        if let Some(at) = self.open(key)
            && terms.adaptive
            && self.is_idle(key)
        {
            self.0[at].closed = Some(Reason::Idle);
        }
    }
}

/// A batch is sent by its number.
fn own(number: Option<u64>) -> u64 {
    number.expect("it is kept")
}

#[derive(Debug, Clone)]
enum Step {
    Join(u8, u8),
    Leave(prop::sample::Index, prop::sample::Index),
    Take(prop::sample::Index),
    Done(prop::sample::Index),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (0..2_u8, 1..6_u8).prop_map(|(key, item)| Step::Join(key, item)),
        2 => (index(), index()).prop_map(|(batch, member)| Step::Leave(batch, member)),
        3 => index().prop_map(Step::Take),
        2 => index().prop_map(Step::Done),
        2 => (0..4_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..60)
}

fn terms() -> impl Strategy<Value = Terms> {
    (0..6_u64, 1..5_usize, 5..12_usize, any::<bool>()).prop_map(|(window, most, most_bytes, adaptive)| Terms {
        window: Duration::from_millis(window),
        most,
        most_bytes,
        adaptive,
    })
}

#[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
fn origin() -> Instant {
    Instant::now()
}

fn chosen(naive: &Naive, index: &prop::sample::Index, wanted: impl Fn(&Remembered) -> bool) -> Option<usize> {
    let all: Vec<usize> = (0..naive.0.len()).filter(|at| wanted(&naive.0[*at])).collect();
    (!all.is_empty()).then(|| all[index.index(all.len())])
}

/// Joins, and what is to be told now.
fn joins(
    (gathering, naive): (&mut Gathering<u8, u8, u64>, &mut Naive),
    (key, item): (u8, u8),
    (terms, now, at): (&Terms, u64, Instant),
    most: usize,
) -> Result<(), TestCaseError> {
    let before: Vec<bool> = naive.0.iter().map(|batch| batch.closed.is_some()).collect();
    let (first, was_there) = (naive.0.len(), naive.open(key).is_some_and(|at| naive.0[at].items().contains(&item)));
    let expected = naive.join((key, item), now, terms, most);
    let joined = gathering.join(&key, (&item, usize::from(item)), (terms, at), own).ok();
    let Some(expected) = expected else {
        prop_assert_eq!(joined, None);
        return Ok(());
    };
    let closed = |at: &usize| naive.0[*at].closed.is_some() && !before.get(*at).copied().unwrap_or(false);
    let send: Vec<u64> = (0..naive.0.len()).filter(closed).map(|at| at as u64).collect();
    let number = expected as u64;
    let place = Joined { number, value: number, is_first: expected >= first, is_merged: was_there, send };
    prop_assert_eq!(joined, Some(place));
    Ok(())
}

proptest! {
    #[test]
    fn it_does_what_a_list_of_all_does(steps in steps(), terms in terms(), most in 1..4_usize) {
        let mut gathering: Gathering<u8, u8, u64> = Gathering::new(most);
        let (mut naive, start, mut now) = (Naive::default(), origin(), 0);
        for step in steps {
            let at = start + Duration::from_millis(now);
            match step {
                Step::Join(key, item) => {
                    joins((&mut gathering, &mut naive), (key, item), (&terms, now, at), most)?;
                }
                Step::Leave(batch, member) => {
                    let Some(number) = chosen(&naive, &batch, Remembered::is_kept) else { continue };
                    let member = member.index(naive.0[number].members.len());
                    let item = naive.0[number].members.remove(member);
                    let mut expected = Left { given_up: None, send: None };
                    if naive.0[number].members.is_empty() {
                        naive.0[number].given_up = true;
                        expected.given_up = Some(number as u64);
                        if naive.0[number].closed.is_some() {
                            let open = naive.open(naive.0[number].key);
                            naive.ended(naive.0[number].key, &terms);
                            expected.send = open.filter(|at| naive.0[*at].closed.is_some()).map(|at| at as u64);
                        }
                    }
                    prop_assert_eq!(gathering.leave(number as u64, &item, usize::from(item)), expected);
                }
                Step::Take(batch) => {
                    let Some(number) = chosen(&naive, &batch, Remembered::is_kept) else { continue };
                    // Only the one that is asked for is looked at: the others' senders have not woken yet.
                    let mut alone = Naive(vec![naive.0[number].clone()]);
                    alone.settle(now, &terms);
                    naive.0[number] = alone.0.remove(0);
                    let batch = &mut naive.0[number];
                    let expected = batch.closed.map(|reason| Taken {
                        items: batch.items(),
                        requests: batch.members.len(),
                        reason,
                        value: number as u64,
                    });
                    batch.taken = expected.is_some();
                    prop_assert_eq!(gathering.take(number as u64, at), expected);
                }
                Step::Done(batch) => {
                    let Some(number) = chosen(&naive, &batch, |batch| batch.taken && !batch.done) else { continue };
                    naive.0[number].done = true;
                    let key = naive.0[number].key;
                    let open = naive.open(key);
                    naive.ended(key, &terms);
                    let expected = open.filter(|at| naive.0[*at].closed.is_some()).map(|at| at as u64);
                    prop_assert_eq!(gathering.done(&key), expected);
                }
                Step::Pass(ms) => now += ms,
            }
            prop_assert!(naive.kept() <= most);
            let waiting = naive.0.iter().filter(|batch| batch.is_kept());
            prop_assert_eq!(gathering.waiting(), waiting.map(|batch| batch.members.len()).sum::<usize>());
        }
    }

    /// Who comes is answered by a batch that was sent within the window, with its item in it.
    #[test]
    fn nobody_waits_longer_than_the_window_and_every_item_is_asked_for(
        gaps in prop::collection::vec((0..3_u64, 1..4_u8), 1..40),
        terms in terms(),
        call in 0..4_u64,
    ) {
        let mut gathering: Gathering<(), u8, u64> = Gathering::new(usize::MAX);
        let start = origin();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut open, mut calls, mut now) = (Vec::<(u64, u64, u8)>::new(), Vec::<u64>::new(), 0);
        let mut answered = 0;
        for (gap, item) in gaps.iter().copied().chain([(100, 1)]) {
            for _ in 0..gap {
                now += 1;
                // Calls come back, then senders wake whose time has come.
                let (back, rest): (Vec<u64>, Vec<u64>) = calls.iter().partition(|ends| **ends <= now);
                calls = rest;
                back.iter().for_each(|_| { gathering.done(&()); });
                let mut numbers: Vec<u64> = open.iter().map(|(number, ..)| *number).collect();
                numbers.dedup();
                for number in numbers {
                    let Some(taken) = gathering.take(number, at(now)) else { continue };
                    let (sent, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|(of, ..)| *of == number);
                    open = rest;
                    prop_assert_eq!(taken.requests, sent.len());
                    for (_, came, item) in sent {
                        prop_assert!(now - came <= terms.window.as_millis().max(1) as u64, "it waited {}", now - came);
                        prop_assert!(taken.items.contains(&item));
                        answered += 1;
                    }
                    prop_assert!(taken.items.len() <= terms.most);
                    calls.push(now + call);
                }
            }
            let Ok(joined) = gathering.join(&(), (&item, 1), (&terms, at(now)), own) else { continue };
            open.push((joined.number, now, item));
        }
        prop_assert_eq!(answered + open.len(), gaps.len() + 1);
    }
}

#[test]
fn a_window_of_nothing_and_a_size_of_one_gather_nothing() {
    for (window, most, reason) in [(0, 50, Reason::Window), (5, 1, Reason::Full)] {
        let terms = Terms { window: Duration::from_millis(window), most, most_bytes: 100, adaptive: false };
        let mut gathering: Gathering<(), u8, u64> = Gathering::new(10);
        for number in 0..3 {
            let joined = gathering.join(&(), (&7, 1), (&terms, origin()), own).ok().unwrap();
            assert_eq!((joined.number, joined.is_first, joined.send), (number, true, vec![number]));
            let taken = gathering.take(number, origin()).unwrap();
            assert_eq!((taken.items, taken.requests, taken.reason), (vec![7], 1, reason));
        }
    }
}

#[test]
fn one_item_alone_may_be_larger_than_all_together_may_be() {
    let terms = Terms { window: Duration::from_millis(5), most: 50, most_bytes: 10, adaptive: false };
    let mut gathering: Gathering<(), u8, u64> = Gathering::new(10);
    let first = gathering.join(&(), (&1, 99), (&terms, origin()), own).ok().unwrap();
    let second = gathering.join(&(), (&2, 1), (&terms, origin()), own).ok().unwrap();
    assert_eq!((first.send, second.send, second.number), (vec![], vec![0], 1));
    assert_eq!(gathering.take(0, origin()).map(|taken| (taken.items, taken.reason)), Some((vec![1], Reason::Full)));
}
