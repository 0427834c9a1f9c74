//! What a connection knows of its surroundings, and the decision what a request gets.

use std::sync::Arc;

use super::alarm::Alarm;
use super::routes::Route;
use crate::calls::{Calls, Context, Outcomes, Pool};
use crate::clock::now_ns;
use crate::faults::{Act, Asked, Draws, Effect, Problems, Queue, RuleSet, Ticket, act_from_header};
use crate::http1::head::{Facts, Head};
use crate::journal::{Ended, Hit, Protocol, Record};
use crate::world::{Endpoint, World};

/// The place of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub endpoint: Arc<Endpoint>,
    pub world: Arc<World>,
    /// The worker that serves the connection.
    pub worker: usize,
    /// The worker's alarm clock.
    pub alarm: Arc<Alarm>,
    /// The worker's connections to those whom services call.
    pub pool: Arc<Pool>,
    /// The connection's number in the process, from 1.
    pub number: u64,
}

/// What a request gets.
#[derive(Debug)]
pub(crate) struct Decision {
    pub route: Route,
    /// The request's number at its endpoint, from 1.
    pub request: u64,
    pub arrival_ns: u64,
    pub hit: Hit,
    pub rules_version: u64,
    /// How long it stands in a queue.
    pub waited_ns: Option<u64>,
    /// What is done; boxed, since most requests are answered at once.
    pub plan: Option<Box<Plan>>,
}

/// What is done with a request that is not answered at once.
#[derive(Debug)]
pub(crate) struct Plan {
    pub act: Arc<Act>,
    pub draws: Draws,
    /// Nothing happens before this time.
    pub until_ns: u64,
    /// What is called before the answer.
    pub calls: Option<Arc<Calls>>,
}

impl Plan {
    /// An answer as it comes.
    pub(crate) fn plain(world: &World) -> Self {
        Self { act: world.plain.clone(), draws: Draws::new(0, 0, 0, 0), until_ns: 0, calls: None }
    }
}

/// How a request went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// 0: no right head was sent.
    pub status: u16,
    /// 0: nothing was sent.
    pub answer_ns: u64,
    pub end_ns: u64,
    pub ended: Ended,
    /// The code that a gRPC call was answered with.
    pub grpc_status: Option<u8>,
}

/// What hits a request.
struct Fate {
    hit: Hit,
    waited_ns: Option<u64>,
    plan: Option<Box<Plan>>,
}

impl Site {
    /// Counts and numbers the request, finds its route and what hits it.
    #[inline]
    pub(crate) fn decide(&self, head: &Head<'_, '_>, facts: &Facts, arrival_ns: u64) -> Result<Decision, Problems> {
        let request = self.endpoint.live.next_request(facts.health_check);
        let rules = self.world.rules.load();
        let Fate { hit, waited_ns, mut plan } = self.fate(&rules, head, facts, request, arrival_ns)?;
        if !self.endpoint.calls.is_empty() {
            self.add_calls(head, &mut plan);
        }
        let rules_version = rules.version;
        Ok(Decision { route: Route::of(head), request, arrival_ns, hit, rules_version, waited_ns, plan })
    }

    #[inline]
    fn fate(
        &self,
        rules: &RuleSet,
        head: &Head<'_, '_>,
        facts: &Facts,
        request: u64,
        now_ns: u64,
    ) -> Result<Fate, Problems> {
        let place = self.endpoint.place();
        if facts.asks_fault {
            // Several lines are one list: whoever stands between may have split it (RFC 9110, section 5.3).
            let lines: Vec<&[u8]> = head.values("x-mock-fault").collect();
            let act = Arc::new(act_from_header(&String::from_utf8_lossy(&lines.join(&b';')))?);
            return Ok(self.plan(Hit::Header, &act, None, rules.draws(place.number, request, None), request));
        }
        Ok(match rules.find(place, request, now_ns, head) {
            None if self.endpoint.queue.is_none() => Fate { hit: Hit::None, waited_ns: None, plan: None },
            None => {
                let draws = rules.draws(place.number, request, None);
                self.plan(Hit::None, &self.world.plain, None, draws, request)
            }
            Some(found) => {
                let draws = rules.draws(place.number, request, Some(found.index));
                self.plan(Hit::Rule(found.index), found.act, found.queue.map(AsRef::as_ref), draws, request)
            }
        })
    }

    /// Adds what is called for this path; a service that fails by itself calls nobody.
    fn add_calls(&self, head: &Head<'_, '_>, plan: &mut Option<Box<Plan>>) {
        let path = head.path_and_query().0;
        let Some(calls) = self.endpoint.calls.iter().find(|calls| calls.path.matches(path)) else { return };
        let plan = plan.get_or_insert_with(|| Box::new(Plan::plain(&self.world)));
        if plan.act.status.is_none() {
            plan.calls = Some(calls.clone());
        }
    }

    /// What these calls give; the future holds nothing of the request.
    pub(crate) fn call(&self, calls: Arc<Calls>, context: Context) -> impl Future<Output = Outcomes> + use<> {
        let gateway = self.world.gateway.load().as_deref().cloned();
        calls.make(context, gateway, self.pool.clone())
    }

    /// Draws how long the request takes, by the act's delay or else by the service's own time.
    fn plan(&self, hit: Hit, act: &Arc<Act>, queue: Option<&Queue>, mut draws: Draws, request: u64) -> Fate {
        let never_served = matches!(act.effect, Effect::Hang | Effect::Refuse) || act.close == Some(0);
        // Where there is no line to stand in, a service is a wait.
        let own_line = self.endpoint.queue.as_ref();
        let delay = act.delay.as_ref().or_else(|| act.service.as_ref().filter(|_| own_line.is_none()));
        let ticket = match (delay, queue, own_line) {
            (Some(_), Some(queue), _) => Some(queue.arrive(now_ns(), &mut draws)),
            (Some(delay), None, _) => {
                let plan =
                    Plan { act: act.clone(), until_ns: later(now_ns(), delay.sample(&mut draws)), draws, calls: None };
                return Fate { hit, waited_ns: None, plan: Some(Box::new(plan)) };
            }
            (None, _, Some(service)) if !never_served => {
                let mut own = self.world.service_draws(self.endpoint.number, request);
                Some(match &act.service {
                    Some(time) => service.arrive_for(now_ns(), time.sample(&mut draws)),
                    None => service.arrive(now_ns(), &mut own),
                })
            }
            (None, ..) => None,
        };
        let (hit, act, until_ns, waited_ns) = match ticket {
            None => (hit, act, 0, None),
            Some(Ticket::Served { arrived_ns, start_ns, end_ns }) => (hit, act, end_ns, Some(start_ns - arrived_ns)),
            Some(Ticket::Full) => (Hit::QueueFull, &self.world.shed, 0, None),
        };
        Fate { hit, waited_ns, plan: Some(Box::new(Plan { act: act.clone(), draws, until_ns, calls: None })) }
    }

    /// Journals a request that is over.
    #[inline]
    pub(crate) fn journal(&self, head: &Head<'_, '_>, facts: &Facts, decision: &Decision, outcome: &Outcome) {
        let record = Record {
            arrival_ns: decision.arrival_ns,
            answer_ns: outcome.answer_ns,
            end_ns: outcome.end_ns,
            endpoint: self.endpoint.number,
            connection: self.number,
            request: decision.request,
            protocol: match facts.minor {
                0 => Protocol::Http10,
                1 => Protocol::Http11,
                _ => Protocol::Http2,
            },
            method: head.method,
            path: head.path_and_query().0,
            status: outcome.status,
            ended: outcome.ended,
            grpc_status: outcome.grpc_status,
            hit: decision.hit,
            rules_version: decision.rules_version,
            waited_ns: decision.waited_ns,
            trace_id: facts.trace_id,
            request_id: facts.request_id.map_or(&[][..], |line| head.headers[line].value),
            health_check: facts.health_check,
        };
        self.world.journal.record(self.worker, &record);
        self.world.progressed();
    }

    /// Now, at least a nanosecond after the request's arrival.
    #[inline]
    pub(crate) fn answer_ns(arrival_ns: u64) -> u64 {
        now_ns().max(arrival_ns + 1)
    }
}

/// So much later.
pub(crate) fn later(now_ns: u64, wait: std::time::Duration) -> u64 {
    now_ns.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}

impl Asked for Head<'_, '_> {
    fn path(&self) -> &str {
        self.path_and_query().0
    }

    fn method(&self) -> &str {
        self.method
    }

    fn has_header(&self, name: &str, value: &str) -> bool {
        self.values(name).any(|found| value == "*" || found == value.as_bytes())
    }
}
