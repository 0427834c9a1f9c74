//! `--journey`: users who go step by step, recorded and judged as the other loads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::CommandError;
use super::arguments::Arguments;
use super::job::{Measured, check_phases, check_thresholds, read, recorder, token_settings};
use crate::clock::{Clock, duration_ns};
use crate::journey::users::{Users, find_program};
use crate::journey::wire::{self, Key, PROTOCOL};
use crate::journey::{Book, Journeys, file};
use crate::progress::Shown;
use crate::request::TokenKey;
use crate::result::Validity;
use crate::target::Target;

/// How long users go unless told otherwise.
const DURATION: Duration = Duration::from_secs(10);
/// Users who wait are let go this long after they were told.
const LEAD: Duration = Duration::from_millis(20);

/// How long users go, nanoseconds.
fn length_ns(arguments: &Arguments) -> u64 {
    duration_ns(arguments.duration.unwrap_or(DURATION) + arguments.warm_up)
}

/// A run of journeys that can be started.
#[derive(Debug)]
pub(super) struct JourneyJob {
    journeys: Journeys,
    program: PathBuf,
    job: wire::Job,
}

impl JourneyJob {
    /// Checks everything that can be checked before anything is sent.
    pub(super) fn of(arguments: &Arguments, path: &Path) -> Result<Self, CommandError> {
        let (mut journeys, text) = file::load(path)?;
        let target = Target::parse(arguments.url(), true)?;
        if target.path != "/" {
            let message = format!("`{}`: the paths are those of the journeys; give http://HOST:PORT", arguments.url());
            return Err(CommandError::Usage(message));
        }
        if target.is_secure {
            let message = "journeys speak http in the clear: give the address of a plain listener";
            return Err(CommandError::Usage(message.to_owned()));
        }
        let key = match &arguments.token_key {
            Some(path) => {
                let pem = String::from_utf8_lossy(&read(path)?).into_owned();
                Some(Key { pem, settings: token_settings(arguments) })
            }
            None => None,
        };
        let signing =
            key.as_ref().map(|key| TokenKey::from_pem(key.pem.as_bytes(), key.settings.clone())).transpose()?;
        journeys.mint(signing.as_ref())?;
        check_thresholds(arguments, &recorder(arguments, 0)?)?;
        check_phases(arguments, length_ns(arguments))?;
        let program = find_program(arguments.journeys_bin.as_deref())?;
        let targets = vec![format!("http://{}", target.authority)];
        let (users, spawn_per_s, seed) = (arguments.users, arguments.spawn, arguments.seed);
        let job = wire::Job { protocol: PROTOCOL, file: text, targets, users, spawn_per_s, seed, key };
        Ok(Self { journeys, program, job })
    }

    /// Lets the users go; what they saw, and whether it can be believed, when the machine's stolen time is known.
    pub(super) fn run(
        &self,
        arguments: &Arguments,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Measured, impl FnOnce(f64) -> Validity + use<>), CommandError> {
        let users = Users::launch(&self.program, &self.job, self.journeys.timeout)?;
        let clock = Clock::start();
        let start_ns = clock.now_ns() + duration_ns(LEAD);
        let length_ns = length_ns(arguments);
        let mut recorder = recorder(arguments, start_ns)?;
        let mut book = Book::new(&self.journeys, start_ns + duration_ns(arguments.warm_up));
        let mut shown = Shown::new(&mut recorder, Some(length_ns), None, arguments.quiet || arguments.json);
        let ended = users.run((start_ns, start_ns + length_ns), clock, stop, &mut shown, &mut book)?;
        drop(shown);
        let interrupted = stop.load(Ordering::Relaxed);
        let (judged, cores) = (recorder.clone(), std::thread::available_parallelism().map_or(1, usize::from));
        let validity = move |steal| Validity::judge_journeys(&judged, &ended, cores, steal, interrupted);
        let measured = Measured { recorder, totals: ended.totals, offered: None, interrupted, book: Some(book) };
        Ok((measured, validity))
    }
}
