//! Many worlds, on all cores; each is one thread's from its seed to its verdict.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadgen::clock::Clock;

use super::check::Violation;
use super::draft::Draft;
use super::shrink::shrink;
use super::{Examined, ExploreError, Options, examine, scenario_of, show};
use crate::scenario;

/// For so long a world is shrunk. Most are as small as they get long before; a heavy one would keep its core from the
/// other seeds.
const SHRINK_TIME: Duration = Duration::from_secs(20);

/// A world in which something did not hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    /// The seed, or the file.
    pub world: String,
    pub violations: Vec<Violation>,
    /// The smallest scenario that fails in the same way, and how many were tried to find it.
    pub scenario: Option<(PathBuf, usize)>,
}

/// What all worlds came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Summary {
    pub worlds: u64,
    pub requests: u64,
    pub virtual_ns: u64,
    /// Time that it took, and the processor's time of all threads.
    pub wall_ns: u64,
    pub cpu_ns: u64,
    /// All traces together, in the order of the seeds.
    pub trace: u64,
    pub failures: Vec<Failure>,
    /// It was ended before all worlds had run.
    pub interrupted: bool,
}

impl Summary {
    fn add(&mut self, examined: &Examined) {
        self.worlds += 1;
        self.requests += examined.requests;
        self.virtual_ns += examined.virtual_ns;
        // A sum, so that the order in which threads finish does not matter.
        self.trace = self.trace.wrapping_add(examined.trace);
    }
}

/// Draws and runs worlds.
pub(super) fn run(options: &Options) -> Result<Summary, ExploreError> {
    let clock = Clock::start();
    let (next, found) = (AtomicU64::new(0), Mutex::new((Summary::default(), None)));
    let folder = Folder::make()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let cpu = loadgen::clock::thread_cpu_ns();
                while let Some(seed) = take(&next, options) {
                    let done = one(seed, options, &folder);
                    let mut found = lock(&found);
                    match done {
                        Ok((examined, failure)) => {
                            found.0.add(&examined);
                            found.0.failures.extend(failure);
                        }
                        // The first error ends everything.
                        Err(error) => {
                            next.store(options.seeds, Ordering::Relaxed);
                            found.1.get_or_insert(error);
                        }
                    }
                }
                lock(&found).0.cpu_ns += loadgen::clock::thread_cpu_ns() - cpu;
            });
        }
    });
    let (mut summary, error) = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary.wall_ns = clock.now_ns();
    summary.interrupted = summary.worlds < options.worlds();
    summary.failures.sort_by(|a, b| a.world.cmp(&b.world));
    error.map_or(Ok(summary), Err)
}

fn take(next: &AtomicU64, options: &Options) -> Option<u64> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    (index < options.seeds && !options.is_over()).then(|| options.seed.wrapping_add(index))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One seed: its world, and, where something does not hold in it, the smallest that fails in the same way.
fn one(seed: u64, options: &Options, folder: &Folder) -> Result<(Examined, Option<Failure>), ExploreError> {
    let name = format!("seed-{seed}");
    let draft = Draft::draw(seed);
    let (scenario, path) = scenario_of(&draft, &folder.0, &name, "Drawn.")?;
    let examined = examine(&scenario, options.twice)?;
    folder.forget(&path);
    let Some(first) = examined.violations.first() else { return Ok((examined, None)) };
    // The seed first: whatever happens next, it is known.
    show::found(&format!("seed {seed}"), &examined.violations);
    let same = |violation: &Violation| violation.kind == first.kind;
    let mut fails = |smaller: &Draft| {
        let Ok((scenario, path)) = scenario_of(smaller, &folder.0, &name, "Drawn.") else { return false };
        folder.forget(&path);
        examine(&scenario, options.twice).is_ok_and(|examined| examined.violations.iter().any(same))
    };
    let began = Clock::start();
    let in_time = || !options.is_over() && u128::from(began.now_ns()) < SHRINK_TIME.as_nanos();
    let (small, tried) = shrink(&draft, &in_time, &mut fails);
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from("explored"));
    let about = format!("Found by seed {seed}: {}.", first.kind);
    let (_, path) = scenario_of(&small, &out, &name, &about)?;
    show::shrunk(seed, &path, tried);
    let failure = Failure {
        world: format!("seed {seed}"),
        violations: examined.violations.clone(),
        scenario: Some((path, tried)),
    };
    Ok((examined, Some(failure)))
}

/// Runs scenario files.
pub(super) fn replay(options: &Options) -> Result<Summary, ExploreError> {
    let (clock, cpu) = (Clock::start(), loadgen::clock::thread_cpu_ns());
    let mut summary = Summary::default();
    for file in options.files.iter().take_while(|_| !options.is_over()) {
        let scenario = scenario::load(file)?;
        if !scenario.expectations.is_empty() {
            show::unjudged(file, scenario.expectations.len());
        }
        let examined = examine(&scenario, options.twice)?;
        summary.add(&examined);
        if !examined.violations.is_empty() {
            let world = file.display().to_string();
            show::found(&world, &examined.violations);
            summary.failures.push(Failure { world, violations: examined.violations, scenario: None });
        }
    }
    (summary.wall_ns, summary.cpu_ns) = (clock.now_ns(), loadgen::clock::thread_cpu_ns() - cpu);
    summary.interrupted = summary.worlds < options.worlds();
    Ok(summary)
}

/// A folder of this run's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, ExploreError> {
        let made = crate::folder::Folder::make(None, "explore");
        made.map(|made| Self(made.path().to_path_buf())).map_err(|(path, source)| ExploreError::Write { path, source })
    }

    /// Removes a scenario that was read.
    fn forget(&self, scenario: &std::path::Path) {
        // What stays goes with the folder.
        let _ = std::fs::remove_file(scenario);
        let _ = std::fs::remove_file(scenario.with_extension("gateway.toml"));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Summary {
    /// How many times faster than life it was, for each second of processor time.
    pub(super) fn speed(&self) -> f64 {
        self.virtual_ns as f64 / self.cpu_ns.max(1) as f64
    }

    /// Time that it took.
    pub(super) fn wall(&self) -> Duration {
        Duration::from_nanos(self.wall_ns)
    }
}
