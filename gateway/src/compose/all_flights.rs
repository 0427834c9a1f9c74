//! Shared calls of all workers, by what they ask for: a worker that is about to make one finds here whether another
//! worker makes it already, and waits in its place to be told what that one comes to.
//!
//! Invariants: of one key at most one call stands here; it does until it has come to something, until it is given up,
//! or until it is old. Who follows a call is told, and does none of its work: timers and connections are a worker's
//! own. A call is always told of once it ends, if only that it was given up; of those who followed it one makes the
//! next then. What is kept is bounded, and a call that finds no room is its worker's alone.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::landed::{Landed, What};
use crate::algorithms::joint_work::{Joined, JointWork};
use crate::network::Network;
use crate::telemetry::recorder::Calls;

/// What a call asks for.
pub(super) type Key = Arc<[u8]>;

/// Parts of the table, each behind a lock of its own.
const PARTS: usize = 16;
/// Calls of a part that can be followed at once.
const MOST: usize = 1024;

/// A call that is under way, as all know it who wait for it.
pub(super) struct Course<N: Network> {
    /// When it began.
    pub(super) began: Instant,
    /// What is noted of it.
    pub(super) notes: Calls,
    has_head: AtomicBool,
    told: watch::Sender<Option<Told<N>>>,
}

/// What a call came to, as other workers are told.
#[derive(Clone)]
enum Told<N: Network> {
    /// Whoever waits gets this.
    ForAll(Arc<Landed<N>>),
    /// There is an answer, for one of those who wait where it was asked for.
    ForOne,
    /// It did not come to its end.
    GivenUp,
}

/// What a worker does for those who wait with it.
pub(super) enum Place<N: Network> {
    /// It makes the call.
    Leads(Lead<N>),
    /// Another one does.
    Follows(Following<N>),
}

/// A call that is to be made. Dropped without a word it was given up.
pub(super) struct Lead<N: Network> {
    course: Arc<Course<N>>,
    /// Where others find it.
    entry: Option<Entry<N>>,
}

struct Entry<N: Network> {
    table: Arc<Table<N>>,
    key: Key,
    number: u64,
}

/// Another worker's call that is waited for.
pub(super) struct Following<N: Network> {
    course: Arc<Course<N>>,
    told: watch::Receiver<Option<Told<N>>>,
}

type Part<N> = JointWork<Key, Arc<Course<N>>>;

struct Table<N: Network>([Mutex<Part<N>>; PARTS]);

/// Calls that workers can share. One worker alone has its own table, and needs no other.
pub struct AllFlights<N: Network>(Option<Arc<Table<N>>>);

impl<N: Network> AllFlights<N> {
    /// Of so many workers; nothing is under way.
    pub fn new(workers: usize) -> Self {
        Self::with_room(workers, MOST)
    }

    fn with_room(workers: usize, most: usize) -> Self {
        let table = || Arc::new(Table(std::array::from_fn(|_| Mutex::new(JointWork::new(most)))));
        Self((workers > 1).then(table))
    }

    /// Follows the call of this key that another worker makes, if that is younger than `oldest`; else this one is to be
    /// made, and is found by others.
    pub(super) fn join(&self, key: &Key, (now, oldest): (Instant, Duration), course: Course<N>) -> Place<N> {
        let course = Arc::new(course);
        let Some(table) = &self.0 else { return Place::Leads(Lead { course, entry: None }) };
        let begin = || (Arc::clone(&course), course.began);
        let (joined, old) = table.with(key, |part| part.join(key, now, oldest, begin));
        drop(old);
        match joined {
            Joined::First(number, course) => {
                let entry = Entry { table: Arc::clone(table), key: Arc::clone(key), number };
                Place::Leads(Lead { course, entry: Some(entry) })
            }
            Joined::Another(_, course) => Place::Follows(Following { told: course.told.subscribe(), course }),
            Joined::Full => Place::Leads(Lead { course, entry: None }),
        }
    }
}

impl<N: Network> Table<N> {
    fn with<T>(&self, key: &Key, look: impl FnOnce(&mut Part<N>) -> T) -> T {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let part = &self.0[hasher.finish() as usize % PARTS];
        look(&mut part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<N: Network> Course<N> {
    /// A call that began then, of which this is noted.
    pub(super) fn new(began: Instant, notes: Calls) -> Self {
        Self { began, notes, has_head: AtomicBool::new(false), told: watch::Sender::new(None) }
    }

    /// Its answer's head has come: the time until then is over, and was kept.
    pub(super) fn head_came(&self) {
        self.has_head.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub(super) fn has_head(&self) -> bool {
        self.has_head.load(Ordering::Relaxed)
    }

    /// Whether other workers wait to be told of it.
    pub(super) fn is_followed(&self) -> bool {
        self.told.receiver_count() > 0 && self.told.borrow().is_none()
    }

    /// Ready when no other worker waits any more.
    pub(super) async fn is_left(&self) {
        self.told.closed().await;
    }
}

impl<N: Network> Place<N> {
    /// The call that those who wait get their answer of.
    pub(super) fn course(&self) -> &Arc<Course<N>> {
        match self {
            Self::Leads(lead) => &lead.course,
            Self::Follows(following) => &following.course,
        }
    }
}

impl<N: Network> Lead<N> {
    /// The call.
    pub(super) fn course(&self) -> &Course<N> {
        &self.course
    }

    /// It has come to this.
    pub(super) fn tell(mut self, landed: &Arc<Landed<N>>) {
        self.end(match landed.what {
            What::Whole(..) | What::Failed(..) => Told::ForAll(Arc::clone(landed)),
            What::One(_) => Told::ForOne,
        });
    }

    fn end(&mut self, told: Told<N>) {
        let Some(Entry { table, key, number }) = self.entry.take() else { return };
        // Before they are told: who is woken by it does not find the call here any more.
        let ended = table.with(&key, |part| part.done(&key, number));
        drop(ended);
        self.course.told.send_replace(Some(told));
    }
}

impl<N: Network> Drop for Lead<N> {
    fn drop(&mut self) {
        self.end(Told::GivenUp);
    }
}

impl<N: Network> Following<N> {
    /// What the call comes to for those who wait here; `None` where it is given up.
    pub(super) async fn end(mut self) -> Option<Arc<Landed<N>>> {
        let told = self.told.wait_for(Option::is_some).await.ok()?.clone()?;
        match told {
            Told::ForAll(landed) => Some(landed),
            Told::ForOne => Some(Arc::new(Landed::anothers())),
            Told::GivenUp => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::clock::Clock;
    use crate::error::{Code, GatewayError};
    use crate::network::Sockets;

    const OLDEST: Duration = Duration::from_secs(5);

    /// Calls that workers share, and the time.
    struct Story {
        all: AllFlights<Sockets>,
        now: Instant,
    }

    impl Story {
        fn of(all: AllFlights<Sockets>) -> Self {
            Self { all, now: Clock::starting_at(Duration::ZERO).now() }
        }

        fn join(&self, key: &[u8]) -> Place<Sockets> {
            self.all.join(&key.into(), (self.now, OLDEST), Course::new(self.now, Calls::shared()))
        }

        /// The call is made.
        #[track_caller]
        fn leads(&self, key: &[u8]) -> Lead<Sockets> {
            match self.join(key) {
                Place::Leads(lead) => lead,
                Place::Follows(_) => panic!("somebody makes it already"),
            }
        }

        /// Another one's is waited for.
        #[track_caller]
        fn follows(&self, key: &[u8]) -> Following<Sockets> {
            match self.join(key) {
                Place::Follows(following) => following,
                Place::Leads(_) => panic!("nobody makes it"),
            }
        }
    }

    fn landed(what: What<Sockets>) -> Arc<Landed<Sockets>> {
        Arc::new(Landed { exchange: None, what })
    }

    fn failed() -> Arc<Landed<Sockets>> {
        landed(What::Failed(Box::new(GatewayError::new(Code::UpstreamReset, "It broke off.")), true))
    }

    #[tokio::test]
    async fn who_follows_a_call_is_told_what_it_came_to() {
        let story = Story::of(AllFlights::new(2));
        let lead = story.leads(b"a");
        let (follower, another) = (story.follows(b"a"), story.follows(b"a"));
        let _different = story.leads(b"b");
        let mut end = Box::pin(follower.end());
        assert!(poll!(&mut end).is_pending());
        let landed = failed();
        lead.tell(&landed);
        for end in [end.await, another.end().await] {
            assert!(Arc::ptr_eq(&end.unwrap(), &landed));
        }
        // Nothing is kept.
        let _next = story.leads(b"a");
    }

    #[tokio::test]
    async fn an_answer_for_one_is_none_of_those_who_follow() {
        let story = Story::of(AllFlights::new(2));
        let lead = story.leads(b"a");
        let follower = story.follows(b"a");
        lead.tell(&landed(What::One(Mutex::default())));
        let end = follower.end().await.unwrap();
        assert!(matches!(&end.what, What::One(one) if one.lock().unwrap().is_none()) && end.exchange.is_none());
    }

    #[tokio::test]
    async fn of_those_who_followed_a_call_that_was_given_up_one_makes_the_next() {
        let story = Story::of(AllFlights::new(3));
        let lead = story.leads(b"a");
        let (one, other) = (story.follows(b"a"), story.follows(b"a"));
        assert!(lead.course.is_followed());
        drop(lead);
        assert!(one.end().await.is_none());
        let lead = story.leads(b"a");
        assert!(other.end().await.is_none());
        let follower = story.follows(b"a");
        lead.tell(&failed());
        assert!(follower.end().await.is_some());
    }

    #[tokio::test]
    async fn an_old_call_goes_on_for_who_follows_it_and_nobody_joins() {
        let mut story = Story::of(AllFlights::new(2));
        let old = story.leads(b"a");
        let follower = story.follows(b"a");
        story.now += OLDEST;
        let lead = story.leads(b"a");
        old.tell(&failed());
        assert!(follower.end().await.is_some());
        // The end of the old one says nothing of the one that took its place.
        let follower = story.follows(b"a");
        assert!(lead.course.is_followed());
        drop(follower);
        assert!(!lead.course.is_followed());
        lead.course.is_left().await;
    }

    #[test]
    fn a_call_is_its_workers_alone_where_there_is_no_room_or_no_other_worker() {
        let one = Story::of(AllFlights::new(1));
        let _calls = [one.leads(b"a"), one.leads(b"a")];
        let full = Story::of(AllFlights::with_room(2, 1));
        let stand: Vec<_> = (0..=u8::MAX).map(|key| full.leads(&[key])).collect();
        assert_eq!(stand.iter().filter(|lead| lead.entry.is_some()).count(), PARTS);
        let alone = (0..=u8::MAX).filter(|key| matches!(full.join(&[*key]), Place::Leads(_))).count();
        assert_eq!(alone, 256 - PARTS);
    }

    /// Threads that ask at the same moment: whoever comes, one call is made, or the next after its end.
    #[test]
    fn of_workers_that_begin_at_once_one_leads() {
        let story = Story::of(AllFlights::new(4));
        for _ in 0..200 {
            let start = std::sync::Barrier::new(4);
            let places: Vec<_> = std::thread::scope(|scope| {
                let join = || {
                    start.wait();
                    story.join(b"a")
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(join)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(places.iter().filter(|place| matches!(place, Place::Leads(_))).count(), 1);
        }
    }
}
