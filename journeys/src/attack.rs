//! Goose's users: started, held until the parent lets them go, ended.
//!
//! Each journey is a goose scenario with its weight, each step that is done again a transaction in sequence. Goose's
//! own metrics are off: what it would measure ends at the answer's head.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use goose::config::GooseConfiguration;
use goose::goose::{Scenario, Transaction, TransactionError};
use goose::{GooseAttack, GooseError};
use loadgen::clock::{monotonic_ns, process_cpu_ns};
use loadgen::journey::wire::Message;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::fetch;
use crate::job::{JobError, Wish, Work, read};
use crate::teller::Teller;
use crate::user::{Session, Shared};

/// How often it is told how it goes, and looked whether it is over.
const TICK: Duration = Duration::from_millis(100);
/// How often a user looks whether it is over while it thinks.
const GRAIN: Duration = Duration::from_millis(100);
/// How often it is looked whether the last requests have ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why the users did not do their part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttackError {
    #[error("{0}")]
    Job(#[from] JobError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("goose: {0}")]
    Goose(String),
}

/// What all users share.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) work: Work,
    pub(crate) teller: Teller,
    wishes: watch::Receiver<Wish>,
    /// Users that are there.
    present: AtomicU64,
}

impl Stage {
    /// No request begins any more.
    pub(crate) fn is_over(&self) -> bool {
        match *self.wishes.borrow() {
            Wish::Wait => false,
            Wish::Go(start) => monotonic_ns() >= start.until_ns,
            Wish::End => true,
        }
    }

    /// Rests, but not beyond the end.
    pub(crate) async fn rest(&self, how_long: Duration) {
        let mut left = how_long;
        while !left.is_zero() && !self.is_over() {
            let now = left.min(GRAIN);
            sleep(now).await;
            left -= now;
        }
    }

    /// Waits until the parent lets users go, and then for this one's turn.
    async fn hold(&self, number: u64) {
        let mut wishes = self.wishes.clone();
        let wish = wishes.wait_for(|wish| *wish != Wish::Wait).await.map_or(Wish::End, |wish| *wish);
        let Wish::Go(start) = wish else { return };
        let turn = self.work.job.spawn_per_s.map_or(0.0, |rate| number as f64 / rate);
        let from_ns = start.from_ns.saturating_add((turn * 1e9) as u64);
        self.rest(Duration::from_nanos(from_ns.saturating_sub(monotonic_ns()))).await;
    }
}

/// Does what the parent wants, to its end.
pub(crate) fn run() -> Result<(), AttackError> {
    let (teller, thread) = Teller::take_over()?;
    let (work, wishes) = read()?;
    let stage = Arc::new(Stage { work, teller, wishes, present: AtomicU64::new(0) });
    // One core is one thread; goose's own default would be a thread for each core of the machine.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(cores).enable_all().build()?;
    let last = runtime.block_on(async {
        tokio::select! {
            ended = attack(&stage) => Err(AttackError::Goose(match ended {
                Ok(()) => "it ended before its time".to_owned(),
                Err(error) => error.to_string(),
            })),
            last = supervise(&stage) => Ok(last),
        }
    })?;
    stage.teller.finish(last, thread);
    // Goose takes up to a second to wind down, and has nothing left to do.
    std::process::exit(0);
}

/// Tells how it goes until it is over and the last request has ended.
async fn supervise(stage: &Stage) -> Message {
    let mut wishes = stage.wishes.clone();
    // The sender is never dropped.
    let _ = wishes.wait_for(|wish| *wish != Wish::Wait).await;
    let cpu_before_ns = process_cpu_ns();
    while !stage.is_over() {
        stage.teller.tell(stage.teller.tick(cpu_before_ns));
        let left_ns = match *stage.wishes.borrow() {
            Wish::Go(start) => start.until_ns.saturating_sub(monotonic_ns()),
            _ => 0,
        };
        tokio::select! {
            () = sleep(TICK.min(Duration::from_nanos(left_ns))) => {}
            _ = wishes.changed() => {}
        }
    }
    // Each ends by its own timeout at the latest. A user between two requests of a page is in flight, too.
    while stage.teller.in_flight() > 0 {
        sleep(LOOK_EVERY).await;
    }
    stage.teller.tick(cpu_before_ns)
}

async fn attack(stage: &Arc<Stage>) -> Result<(), GooseError> {
    let job = &stage.work.job;
    let users = job.users.to_string();
    // Users come quickly, and wait for the parent's word.
    let rate = job.users.max(100).to_string();
    let host = &job.targets[0];
    let arguments = [
        "--host",
        host,
        "--users",
        &users,
        "--increase-rate",
        &rate,
        "--no-metrics",
        "--no-print-metrics",
        "--no-telnet",
        "--no-websocket",
        "-qq",
    ];
    let mut attack = GooseAttack::initialize_with_config(GooseConfiguration::parse_args_default(&arguments)?)?;
    for (number, journey) in stage.work.journeys.list.iter().enumerate().filter(|(_, journey)| journey.weight > 0) {
        let mut scenario = Scenario::new(&journey.name).set_weight(journey.weight as usize)?;
        scenario = scenario.register_transaction(arrival(stage, number));
        for (position, step) in journey.steps.iter().enumerate().filter(|(_, step)| !step.once) {
            scenario = scenario.register_transaction(walk(stage, number, position, &step.name));
        }
        attack = attack.register_scenario(scenario);
    }
    attack.execute().await.map(drop)
}

/// A user comes, and waits.
fn arrival(stage: &Arc<Stage>, journey: usize) -> Transaction {
    let stage = Arc::clone(stage);
    let function: goose::goose::TransactionFunction = Arc::new(move |user| {
        let stage = Arc::clone(&stage);
        Box::pin(async move {
            let number = stage.present.fetch_add(1, Ordering::Relaxed);
            let (work, count) = (&stage.work, stage.work.job.targets.len() as u64);
            user.set_client_builder(fetch::builder(work.journeys.timeout)).await.map_err(Box::new)?;
            let base = work.job.targets[(number % count) as usize].clone();
            let mut session = Session::new(number, user.client.clone(), base);
            session.begin(&work.journeys.list[journey], work.job.seed);
            user.set_session_data::<Shared>(Arc::new(tokio::sync::Mutex::new(session)));
            if number + 1 == u64::from(work.job.users) {
                stage.teller.tell(Message::Ready);
            }
            stage.hold(number).await;
            Ok(())
        })
    });
    Transaction::new(function).set_name("arrival").set_on_start()
}

/// A user does one step.
fn walk(stage: &Arc<Stage>, journey: usize, position: usize, name: &str) -> Transaction {
    let stage = Arc::clone(stage);
    let function: goose::goose::TransactionFunction = Arc::new(move |user| {
        let stage = Arc::clone(&stage);
        Box::pin(async move {
            let session = user.get_session_data::<Shared>().cloned();
            let missing = || Box::new(TransactionError::Custom("a user without a session".to_owned()));
            let session = session.ok_or_else(missing)?;
            session.lock().await.step(&stage, journey, position).await;
            Ok(())
        })
    });
    Transaction::new(function).set_name(name).set_sequence(position + 1)
}
