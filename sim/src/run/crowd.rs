//! The users of journeys in a run: there before the loads begin, let go with them, each load with its own process.

use std::net::SocketAddr;
use std::path::Path;

use loadgen::journey::Book;
use loadgen::journey::users::{Ended, Users};
use loadgen::journey::wire::{Job, Key, PROTOCOL};
use loadgen::sample::{Observer, Totals};

use super::drive::Stretch;
use super::error::RunError;
use crate::process::pin_thread;
use crate::scenario::model::{JourneyPart, LoadPart};

/// For each load its users, who wait; none where it is no load of journeys.
#[derive(Debug)]
pub(super) struct Crowds(Vec<Option<Users>>);

/// What the loads of a stretch came to, in their order.
#[derive(Debug, Default)]
pub(super) struct Driven {
    pub(super) totals: Vec<Totals>,
    /// Of loads of journeys, what users saw.
    pub(super) books: Vec<Option<Book>>,
    /// Of loads of journeys, how they ended.
    pub(super) ended: Vec<Option<Ended>>,
}

/// Starts the users of all loads on these cores, and waits until they are there.
pub(super) fn gather(
    loads: &[LoadPart],
    program: &Path,
    (gateways, seed, cores): (&[SocketAddr], impl Fn(usize) -> u64 + Sync, &[usize]),
    key: Option<&Key>,
) -> Result<Crowds, RunError> {
    let launch = |(number, load): (usize, &LoadPart)| {
        let Some(part) = &load.journey else { return Ok(None) };
        let job = job(part, gateways, seed(number), key);
        Users::launch(program, &job, part.journeys.timeout).map(Some)
    };
    // A child has the affinity of the thread that starts it.
    let all = std::thread::scope(|scope| {
        let launched = scope.spawn(|| {
            // Where the core is not to be had, users run where they may.
            let _ = if cores.is_empty() { Ok(()) } else { pin_thread(cores) };
            loads.iter().enumerate().map(launch).collect::<Result<Vec<_>, _>>()
        });
        launched.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    Ok(Crowds(all?))
}

fn job(part: &JourneyPart, gateways: &[SocketAddr], seed: u64, key: Option<&Key>) -> Job {
    Job {
        protocol: PROTOCOL,
        file: part.text.clone(),
        targets: gateways.iter().map(|gateway| format!("http://{gateway}")).collect(),
        users: part.users,
        spawn_per_s: part.spawn_per_s,
        seed,
        key: key.cloned(),
    }
}

impl Crowds {
    /// Lets the users go from `start_ns` on while `others` drives the other loads, given their numbers and observers.
    pub(super) fn go<O: Observer + Send>(
        self,
        stretch: &Stretch,
        loads: &[LoadPart],
        observers: &mut [O],
        start_ns: u64,
        others: impl FnOnce(Vec<(usize, &mut O)>) -> Result<Vec<Totals>, RunError>,
    ) -> Result<Driven, RunError> {
        let mut driven = Driven {
            totals: vec![Totals::default(); loads.len()],
            books: vec![None; loads.len()],
            ended: vec![None; loads.len()],
        };
        let (mut sent, mut numbers) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let mut going = Vec::new();
            for (number, ((users, load), observer)) in self.0.into_iter().zip(loads).zip(observers).enumerate() {
                let (Some(users), Some(part)) = (users, &load.journey) else {
                    numbers.push(number);
                    sent.push((number, observer));
                    continue;
                };
                let until_ns = start_ns + stretch.length_ns(load);
                let mut book = Book::new(&part.journeys, start_ns);
                let go = move || {
                    let times = (start_ns, until_ns);
                    users.run(times, stretch.clock, &stretch.stop, observer, &mut book).map(|ended| (book, ended))
                };
                going.push((number, scope.spawn(go)));
            }
            let totals = others(sent);
            for (number, users) in going {
                let (book, ended) = users.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                driven.totals[number] = ended.totals;
                (driven.books[number], driven.ended[number]) = (Some(book), Some(ended));
            }
            for (number, totals) in numbers.into_iter().zip(totals?) {
                driven.totals[number] = totals;
            }
            Ok(driven)
        })
    }
}
