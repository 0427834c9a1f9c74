//! How an exchange ends whose answer is still to be taken, how one ended that nobody has ended, and whose fault the end
//! is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Exchange;
use crate::error::{Code, Fault};
use crate::network::Network;
use crate::plugins::{EndedRequest, Seen};
use crate::shard::Shard;
use crate::telemetry::metrics::RouteSeries;
use crate::telemetry::record::Ended;
use crate::timer::Wait;

/// How an answer comes to its client.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Whoever writes it says when the last of it has gone.
    is_awaited: bool,
    /// It has come to its end here, and waits for that.
    is_over: bool,
    /// Set once the record is written.
    pub(super) is_recorded: bool,
}

impl<N: Network> Exchange<N> {
    /// Every exchange that the gateway drops at its own end looks as if its client had left. It has not: it is left.
    pub(super) fn who_left(&mut self, ended: Ended) -> Ended {
        if ended != Ended::ClientLeft || !self.shard.shared.cutting.load(Ordering::Relaxed) {
            return ended;
        }
        if self.status.is_none() {
            self.status = Some(Code::Overloaded.status());
            self.code = Some(Code::Overloaded);
        }
        Ended::Drained
    }

    /// Its answer has come to its end: that is its own, unless it is still to be delivered.
    pub fn finish_whole(&mut self, now: Instant) {
        if self.delivery.is_awaited {
            self.delivery.is_over = true;
            self.answered.get_or_insert(now);
            // Nothing is done for it any more: how long its client takes to read is no reason to refuse others.
            self.place = None;
        } else {
            self.finish_at(Ended::Complete, now);
        }
    }

    /// Counts what few requests have beside their status: a deadline of their client's own, words of gRPC, and how it
    /// came by its answer, where its route keeps answers.
    #[inline]
    pub(super) fn count_beside(&self, series: &RouteSeries, (status, ended): (u16, Ended)) {
        if self.aside.has_own_time && status >= 500 {
            self.count_own_deadline(series, ended);
        }
        if let Some(status) = self.grpc_status.filter(|_| !self.fell_silent(ended)) {
            series.told_grpc_status(self.shard.index, status);
        }
        if let Some(by) = self.cache.as_ref().and_then(|cache| cache.came_by()) {
            series.came_by(self.shard.index, by);
        }
    }

    /// Counts it, where it was answered with a failure as its client's own deadline was up: else whoever gives
    /// requests a millisecond would make the route look as if it failed.
    #[cold]
    fn count_own_deadline(&self, series: &RouteSeries, ended: Ended) {
        if self.code.is_some() && self.fault(ended) == Some(Fault::Client) {
            series.ran_out_of_clients_time(self.shard.index);
        }
    }

    /// Whether its record is written.
    pub fn is_finished(&self) -> bool {
        self.delivery.is_recorded
    }

    /// Whoever writes its answer will say when the last of it has gone (`delivered`). One that is dropped before was
    /// not taken, however early it was whole here.
    pub fn await_delivery(&mut self) {
        self.delivery.is_awaited = true;
    }

    /// All of its answer that has come so far has gone.
    pub fn delivered(&mut self) {
        self.delivery.is_awaited = false;
        if self.delivery.is_over {
            self.finish(Ended::Complete);
        }
    }

    /// The program's own stages that were asked about it are told how it ended; later, where an answer is in their
    /// hands.
    #[cold]
    pub(super) fn tell_stages(&mut self, (status, ended): (u16, Ended), total: Duration, overhead: Duration) {
        let Some(mut seen) = self.seen.take() else { return };
        let ended = EndedRequest::of(&self.record(status, ended, total, overhead), &self.method);
        let is_free = seen.ends(ended, &self.extensions);
        self.seen = Some(seen);
        if is_free {
            self.tell_stages_now();
        }
    }

    /// Tells them what they are still to be told.
    #[cold]
    fn tell_stages_now(&mut self) {
        if let Some(seen) = self.seen.take() {
            seen.tell(&self.shard.shared);
        }
    }

    /// The same, for who has locked its answer: to be told when that is over.
    #[inline]
    pub(crate) fn stages_to_tell(&mut self) -> Option<(Box<Seen>, Arc<Shard<N>>)> {
        let seen = self.seen.take_if(|seen| seen.knows_end())?;
        Some((seen, Arc::clone(&self.shard)))
    }

    /// It ended in silence, as a tunnel or a stream does that has nothing to say: whatever its caller was told, nobody
    /// failed.
    pub(crate) fn fell_silent(&self, ended: Ended) -> bool {
        ended == Ended::Timeout && self.code.is_none()
    }

    /// Whose fault its end is.
    pub(crate) fn fault(&self, ended: Ended) -> Option<Fault> {
        match ended {
            Ended::ClientLeft => Some(Fault::Client),
            // A bug in the program's own code, behind the head of its answer.
            Ended::UpstreamCut if self.code == Some(Code::Internal) => Some(Fault::Gateway),
            Ended::UpstreamCut => Some(Fault::Upstream),
            Ended::Drained => Some(Fault::Gateway),
            // A part or a batch that says 404 says it to its client, as an upstream's own answer does: nobody's fault.
            Ended::Complete
                if matches!(
                    self.code,
                    Some(Code::PartFailed | Code::BatchFailed | Code::ItemNotFound | Code::UpstreamError)
                ) && self.status.is_some_and(|it| it.is_client_error()) =>
            {
                None
            }
            Ended::Complete | Ended::Timeout => self.code.map(|code| self.fault_of(code)),
        }
    }

    /// Whose fault it is that it fails with this code. A time that ran out is the client's where it was the client that
    /// gave it: else whoever asks for an answer in a millisecond would make each service look as if it failed.
    pub(crate) fn fault_of(&self, code: Code) -> Fault {
        let is_of_time = matches!(code, Code::UpstreamTimeout | Code::ConnectTimeout | Code::Overloaded);
        let until = || self.answered.unwrap_or_else(|| self.now());
        if self.aside.has_own_time && is_of_time && self.upstream_head.is_none() && self.is_out_of_time(until()) {
            return Fault::Client;
        }
        code.fault()
    }
}

impl<N: Network> Drop for Exchange<N> {
    fn drop(&mut self) {
        if !self.delivery.is_recorded {
            self.finish_dropped();
        }
        if self.seen.is_some() {
            self.tell_stages_now();
        }
    }
}

impl<N: Network> Exchange<N> {
    /// Nobody has ended it.
    fn finish_dropped(&mut self) {
        if std::thread::panicking() {
            // The layer above answers 500; this is the record of that answer.
            self.status = Some(Code::Internal.status());
            self.code = Some(Code::Internal);
            self.finish(Ended::Complete);
        } else if self.connection.deadlines.has_expired(Wait::Write) {
            // Its client is still there, and did not take the answer: whoever wrote it has given up.
            self.code = Some(Code::RequestTimeout);
            self.finish(Ended::Timeout);
        } else {
            self.finish(Ended::ClientLeft);
        }
    }
}
