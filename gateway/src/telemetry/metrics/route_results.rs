//! What came of what some routes do beside proxying, as labels of metrics: fallbacks, shared calls, kept answers, words
//! of another service, copies.
//!
//! Their order is that of the counters in [`RouteTotals`](super::RouteTotals).

use crate::labelled::labelled;

labelled! {
    /// What became of a failure on a route that has a fallback.
    pub enum FallbackResult, "As written in metrics.";
    /// The fixed answer was given.
    Fixed = "fixed";
    /// The other upstream answered.
    Upstream = "upstream";
    /// The other upstream failed too.
    Failed = "failed";
    /// There was none: it was not safe to send the request a second time, its body was gone, or no time was left.
    Unsent = "unsent";
}

labelled! {
    /// What a request came to that may share a call.
    pub enum CoalesceResult, "As written in metrics.";
    /// The call began with it.
    Began = "began";
    /// It shared another one's call.
    Shared = "shared";
    /// It waited for a call whose answer may not be shared, and asked for itself.
    Unshared = "unshared";
    /// Its time was up before the call's.
    Late = "late";
    /// There were too many calls to begin one more; it asked for itself.
    Full = "full";
}

labelled! {
    /// How a request came by its answer on a route whose answers are kept (`cache`).
    pub enum CacheUse, "As written in records and metrics.";
    /// It was given a kept answer that is fresh.
    Hit = "hit";
    /// There was none that it could be given; the upstream was asked.
    Miss = "miss";
    /// It was given one that is stale, as somebody said that it may be.
    Stale = "stale";
    /// It was given one that the upstream has confirmed.
    Revalidated = "revalidated";
    /// It is not for a cache.
    Bypass = "bypass";
}

labelled! {
    /// What another service's word came to (`forward_auth`).
    pub enum WordResult, "As written in metrics.";
    /// It said yes.
    Allowed = "allowed";
    /// It had said yes to the same question a moment ago.
    Remembered = "remembered";
    /// Its answer was the client's.
    Refused = "refused";
    /// It could not be asked, or failed, and the request was refused.
    Failed = "failed";
    /// It could not be asked, or failed, and the request passed: the route says so.
    FailedOpen = "failed_open";
    /// It was not asked to the end, for a reason of the gateway's or the client's: a limit, a client's deadline.
    Unasked = "unasked";
}

labelled! {
    /// What became of a copy of a request (`mirror`).
    pub enum MirrorResult, "As written in metrics.";
    /// It was sent, and answered, with whatever status.
    Answered = "answered";
    /// It was sent, or was to be, and there was no answer: no connection, a broken one, none in time.
    Failed = "failed";
    /// Its upstream had nobody to ask: no endpoint, open breakers, a limit.
    Refused = "refused";
    /// The worker had as many copies in flight as it may have.
    Full = "full";
    /// Its body is larger than what is copied.
    TooLarge = "too_large";
    /// The worker held as much of bodies as it may hold.
    NoMemory = "no_memory";
    /// The client's request never came whole.
    BodyCut = "body_cut";
    /// The gateway protects itself, and leaves out copies first.
    Shed = "shed";
    /// It was under way when the gateway ended.
    Abandoned = "abandoned";
}
