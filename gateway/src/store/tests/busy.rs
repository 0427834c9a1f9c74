//! A store that is asked for more than it can do, in virtual time.
#![expect(clippy::disallowed_methods, reason = "this time is virtual: tokio's, paused")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::double::{Double, Troubles};
use crate::config::settings::store::Servers;
use crate::store::{By, Call, Script, Store};

const MAY_TAKE: Duration = Duration::from_millis(20);
/// What a command takes of the store's time, and of the way: so many a second.
const EACH: Duration = Duration::from_micros(100);
const WAY: Duration = Duration::from_micros(2500);
const RATE: usize = 10_000;

/// One call that nothing can refuse.
async fn ask(store: &Arc<Store>) -> bool {
    let mut call = Call::new(Script::Charge);
    call.keys.push("bucket".to_owned());
    call.numbers.extend([1, i64::MAX / 4, 0, 1, 0, 1, 0]);
    store.ask(By::worker(0), call).await.is_ok()
}

#[test]
fn a_busy_store_answers_as_many_as_it_can_and_is_given_up_by_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let troubles = Troubles { each: EACH, ..Troubles::default() };
        let double = Double::put_up("busy", Box::new(|_, _| (WAY, WAY)), troubles);
        let (store, _stores) = super::store(Servers::One(("busy".to_owned(), 0), 0), MAY_TAKE);
        // Four times as many as can be answered in time ask again and again.
        let (seconds, good) = (2, Rc::new(Cell::new(0)));
        let until = Instant::now() + Duration::from_secs(seconds as u64);
        for _ in 0..4 * RATE * MAY_TAKE.as_millis() as usize / 1000 {
            let (store, good) = (Arc::clone(&store), Rc::clone(&good));
            tokio::task::spawn_local(async move {
                while Instant::now() < until {
                    let began = Instant::now();
                    if ask(&store).await {
                        good.set(good.get() + 1);
                    } else if began.elapsed().is_zero() {
                        // Whoever is refused at once asks again a little later.
                        // virtual time
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            });
        }
        // virtual time
        sleep(Duration::from_secs(seconds as u64 + 1)).await;
        assert_eq!(store.health.last_failure(), None);
        assert_eq!(double.connections(), 1);
        let (good, can) = (good.get(), seconds * RATE);
        assert!(good * 100 >= can * 90, "{good} of {can}");
    });
}

#[test]
fn a_store_that_hangs_is_given_up_in_time_though_it_answered_a_moment_ago() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // It does nothing from then on.
        let troubles =
            Troubles { stalls: vec![(Duration::from_millis(50), Duration::from_secs(3600))], ..Troubles::default() };
        Double::put_up("hangs", Box::new(|_, _| (WAY, WAY)), troubles);
        let (store, _stores) = super::store(Servers::One(("hangs".to_owned(), 0), 0), MAY_TAKE);
        for _ in 0..5 {
            assert!(ask(&store).await);
        }
        // virtual time
        sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        for _ in 0..3 {
            assert!(!ask(&store).await);
        }
        assert!(began.elapsed() <= 3 * (MAY_TAKE + Duration::from_millis(1)), "{:?}", began.elapsed());
        // Who asked goes on at the moment at which the trip is given up.
        tokio::task::yield_now().await;
        assert!(!store.health.is_up());
    });
}
