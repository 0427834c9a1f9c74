//! All hostile clients of a run, on a thread of their own.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::Clock;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::act::Script;
use super::client::visit;
use super::seen::Seen;
use crate::scenario::model::HostilePart;

/// How often it is looked whether the run has ended.
const GRAIN: Duration = Duration::from_millis(50);
/// Connections of one part that are kept: 10 MB.
const MOST_KEPT: usize = 200_000;

/// A part of the scenario, and whom it attacks.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) part: HostilePart,
    pub(crate) from: IpAddr,
    /// The listener of each gateway.
    pub(crate) to: Vec<SocketAddr>,
}

/// Lets all hostile clients do what they do, counted from `zero_ns` of the clock; what came of each part's connections.
/// Returns at the end of their times, or soon after `ended` is set. Blocks the calling thread.
///
/// # Errors
/// When the system gives no event loop.
pub(crate) fn attack(
    fields: &[Field],
    clock: Clock,
    zero_ns: u64,
    ended: &AtomicBool,
) -> std::io::Result<Vec<Vec<Seen>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen: Vec<Rc<RefCell<Vec<Seen>>>> = fields.iter().map(|_| Rc::default()).collect();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut places = Vec::new();
        for (field, seen) in fields.iter().zip(&seen) {
            let field = Rc::new(field.clone());
            // Written before the run: half a megabyte of frames takes milliseconds, in which the driver, which has this
            // core too, would be late.
            let scripts: Rc<[Script]> = field.part.act.scripts(&field.part.path).into();
            for number in 0..field.part.connections {
                places.push(tokio::task::spawn_local(hold_place(
                    (Rc::clone(&field), Rc::clone(&scripts)),
                    number,
                    (clock, zero_ns),
                    Rc::clone(seen),
                )));
            }
        }
        let all = async {
            for place in places {
                // One that panicked has told so, and its connections are missing.
                let _ = place.await;
            }
        };
        let over = async {
            while !ended.load(Ordering::Relaxed) {
                sleep(GRAIN).await;
            }
        };
        tokio::select! {
            () = all => {}
            () = over => {}
        }
    });
    drop(local);
    Ok(seen.iter().map(|seen| seen.take()).collect())
}

/// One client: a connection after the other, each by a whole `hold`, as long as there is time for another.
async fn hold_place(
    (field, scripts): (Rc<Field>, Rc<[Script]>),
    place: usize,
    (clock, zero_ns): (Clock, u64),
    seen: Rc<RefCell<Vec<Seen>>>,
) {
    let part = &field.part;
    // From t = 0; nothing before it.
    let now = || Duration::from_nanos(clock.now_ns().saturating_sub(zero_ns));
    let end = part.from + part.duration;
    // Not all at once: they are many, and each is one.
    let later = part.every.mul_f64(place as f64 / part.connections.max(1) as f64);
    sleep(Duration::from_nanos(zero_ns.saturating_sub(clock.now_ns())) + (part.from + later).saturating_sub(now()))
        .await;
    let mut number = place;
    while now() + part.hold <= end {
        let to = field.to[number % field.to.len().max(1)];
        // Each does all kinds of its act in turns.
        let kind = number / part.connections.max(1) + place;
        let script = &scripts[kind % scripts.len()];
        let one = visit(field.from, to, script, part.hold, clock).await;
        seen.borrow_mut().push(one);
        if seen.borrow().len() >= MOST_KEPT {
            return;
        }
        number += part.connections;
        sleep(part.every).await;
    }
}
