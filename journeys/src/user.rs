//! What one user does: its steps, what it was given on the way, and what it does when a step fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use loadgen::clock::monotonic_ns;
use loadgen::journey::model::{Journey, Step};
use loadgen::journey::wire::Message;
use loadgen::request::Dice;
use reqwest::Client;
use tokio::time::sleep;

use crate::attack::Stage;
use crate::fetch::fetch;

/// What a user has, by name.
pub(crate) type Values = BTreeMap<String, String>;

/// A user that has nothing more to do looks this often whether goose lets it go.
const REST: Duration = Duration::from_millis(50);
/// Requests of one user before its numbers would be another's.
const NUMBERS: u64 = 1 << 32;

/// One user, from its start to its end.
#[derive(Debug)]
pub(crate) struct Session {
    number: u64,
    /// Requests that it sent.
    sent: u64,
    client: Client,
    base: String,
    values: Values,
    /// The steps that are done once are done.
    is_known: bool,
    /// When the journey began that it is on.
    began_ns: u64,
    /// A step failed; the rest of the journey is left out.
    gave_up: bool,
}

impl Session {
    pub(crate) fn new(number: u64, client: Client, base: String) -> Self {
        let values = Values::new();
        Self { number, sent: 0, client, base, values, is_known: false, began_ns: 0, gave_up: false }
    }

    fn dice(&mut self, seed: u64) -> Dice {
        let number = self.number * NUMBERS + self.sent;
        self.sent += 1;
        Dice::new(seed, number)
    }

    /// Draws what the user is given at its start.
    pub(crate) fn begin(&mut self, journey: &Journey, seed: u64) {
        for (name, text) in &journey.user {
            let mut dice = self.dice(seed);
            let value = text.render(&mut dice, &self.values);
            self.values.insert(name.clone(), value);
        }
    }

    /// Does one step of its journey; `number` is the journey's in the file.
    pub(crate) async fn step(&mut self, stage: &Stage, number: usize, position: usize) {
        if stage.is_over() {
            sleep(REST).await;
            return;
        }
        let journey = &stage.work.journeys.list[number];
        let again = || journey.steps.iter().enumerate().filter(|(_, step)| !step.once).map(|(position, _)| position);
        if again().next() == Some(position) {
            self.set_out(stage, number).await;
        }
        if !self.gave_up && !stage.is_over() {
            self.gave_up = !self.walk(stage, &journey.steps[position]).await;
            if self.gave_up && !stage.is_over() {
                self.arrive(stage, number, false);
                stage.rest(stage.work.journeys.pause).await;
                return;
            }
        }
        if again().next_back() == Some(position) && !self.gave_up && !stage.is_over() {
            self.arrive(stage, number, true);
        }
    }

    /// Begins its journey anew, first with what is done once where that is not done; `number` is the journey's.
    async fn set_out(&mut self, stage: &Stage, number: usize) {
        self.gave_up = false;
        self.began_ns = monotonic_ns();
        for step in stage.work.journeys.list[number].steps.iter().filter(|step| step.once) {
            if self.is_known || self.gave_up || stage.is_over() {
                break;
            }
            self.gave_up = !self.walk(stage, step).await;
        }
        if self.gave_up {
            self.arrive(stage, number, false);
            stage.rest(stage.work.journeys.pause).await;
        } else if !stage.is_over() {
            self.is_known = true;
        }
    }

    fn arrive(&self, stage: &Stage, journey: usize, whole: bool) {
        let journey = u32::try_from(journey).unwrap_or(u32::MAX);
        stage.teller.tell(Message::Journey { journey, from_ns: self.began_ns, end_ns: monotonic_ns(), whole });
    }

    /// Thinks, and does a step as often as it is to be done; whether all went well.
    async fn walk(&mut self, stage: &Stage, step: &Step) -> bool {
        let seed = stage.work.job.seed;
        let mut dice = self.dice(seed);
        let (least, most) = step.times;
        let times = least + u32::try_from(dice.below(u64::from(most - least) + 1)).unwrap_or(0);
        for _ in 0..times {
            let (shortest, longest) = step.think;
            let spread = u64::try_from((longest - shortest).as_micros()).unwrap_or(0);
            stage.rest(shortest + Duration::from_micros(dice.below(spread + 1))).await;
            if stage.is_over() {
                return true;
            }
            if !self.once(stage, step).await {
                return false;
            }
        }
        true
    }

    /// The request of a step and the parts of its page; whether all was as expected.
    async fn once(&mut self, stage: &Stage, step: &Step) -> bool {
        let seed = stage.work.job.seed;
        let mut dice = self.dice(seed);
        let own = (&self.client, self.base.as_str());
        let Some(document) = fetch(stage, own, &step.request, (&mut dice, &self.values)).await else { return true };
        // A session that is not known any more begins again.
        self.is_known &= document.status != 401;
        self.values.extend(document.taken);
        if !document.ok || step.parts.is_empty() {
            return document.ok;
        }
        let mut dice: Vec<Dice> = step.parts.iter().map(|_| self.dice(seed)).collect();
        let (own, values) = ((&self.client, self.base.as_str()), &self.values);
        let parts = step.parts.iter().zip(&mut dice);
        let parts = join_all(parts.map(|(part, dice)| fetch(stage, own, part, (dice, values)))).await;
        let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else { return true };
        let whole = parts.iter().all(|part| part.ok);
        let end_ns = parts.iter().map(|part| part.end_ns).max().unwrap_or(document.end_ns);
        let number = u32::try_from(step.index).unwrap_or(u32::MAX);
        stage.teller.tell(Message::Page { step: number, from_ns: document.sent_ns, end_ns, whole });
        whole
    }
}

/// A session that goose's users carry about.
pub(crate) type Shared = Arc<tokio::sync::Mutex<Session>>;
