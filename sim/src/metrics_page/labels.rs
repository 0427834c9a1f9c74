//! The labels that the samples of a family have, and the values of those whose values are known beforehand.
//!
//! A page shows a sample when there is something to count, so what a family may have cannot be read off a page.
//! Invariant: every family of the gateway's own is here; a test holds that against the page.

use gateway::algorithms::gathering::Reason;
use gateway::config::settings::compress::Coding;
use gateway::error::Code;
use gateway::telemetry::metrics::{
    AdminAction, AdminResult, Announcement, AttemptOutcome, AuthResult, CacheResult, CacheUse, CoalesceResult,
    EndpointState, FallbackResult, HandshakeResult, HedgeResult, LimitDecision, MirrorResult, PartResult, RetryResult,
    ShedReason, SpanResult, UpstreamHandshake, WordResult,
};

/// The labels of a family's samples; of a histogram those of its sum and its count. `None` of no family that is known.
pub(super) fn of(family: &str) -> Option<&'static [&'static str]> {
    Some(match family {
        "gateway_requests_total" => &["route", "status_class", "code"],
        "gateway_fallbacks_total"
        | "gateway_coalesced_total"
        | "gateway_cache_requests_total"
        | "gateway_mirrored_total"
        | "gateway_forward_auth_total" => &["route", "result"],
        "gateway_grpc_answers_total" => &["route", "grpc_status"],
        "gateway_compressed_answers_total" => &["route", "coding"],
        "gateway_compressed_bytes_total" => &["route", "coding", "form"],
        "gateway_left_uncompressed_total"
        | "gateway_route_in_flight"
        | "gateway_client_deadlines_total"
        | "gateway_request_duration_seconds"
        | "gateway_overhead_seconds" => &["route"],
        "gateway_split_total" => &["route", "upstream"],
        "gateway_aggregate_parts_total" => &["aggregate", "part", "result"],
        "gateway_batch_size" | "gateway_batch_merged_total" => &["batch"],
        "gateway_batches_sent_total" => &["batch", "reason"],
        "gateway_upstream_attempts_total" => &["upstream", "outcome"],
        "gateway_retries_total" | "gateway_hedges_total" | "gateway_upstream_tls_handshakes_total" => {
            &["upstream", "result"]
        }
        "gateway_upstream_duration_seconds"
        | "gateway_backups_serving"
        | "gateway_upstream_shadow"
        | "gateway_upstream_connections_opened_total"
        | "gateway_upstream_stale_replays_total"
        | "gateway_discovery_failing"
        | "gateway_ejections" => &["upstream"],
        "gateway_upstream_connections" | "gateway_endpoints" => &["upstream", "state"],
        "gateway_endpoint_in_flight"
        | "gateway_endpoint_attempts_total"
        | "gateway_endpoint_failures_total"
        | "gateway_endpoint_cancelled_total"
        | "gateway_endpoint_last_answer_seconds"
        | "gateway_concurrency_limit"
        | "gateway_breaker_state" => &["upstream", "endpoint"],
        "gateway_breaker_trips_total" => &["upstream", "endpoint", "cause"],
        "gateway_route_breaker_state" => &["upstream", "route", "endpoint"],
        "gateway_limit_decisions_total" | "gateway_limit_in_flight_decisions_total" => &["rule", "decision"],
        "gateway_limit_in_flight" => &["rule"],
        "gateway_store_duration_seconds" | "gateway_store_degraded" => &["store"],
        "gateway_auth_total" => &["provider", "result"],
        "gateway_token_cache_total" | "gateway_spans_total" => &["result"],
        "gateway_keys_age_seconds" | "gateway_keys_failing" | "gateway_issuer_failing" => &["provider"],
        "gateway_connections"
        | "gateway_tls_certificate_expiry_seconds"
        | "gateway_tls_certificate_due_seconds"
        | "gateway_tls_crl_expiry_seconds"
        | "gateway_tls_crl_due_seconds" => &["listener"],
        "gateway_tls_handshakes_total" | "gateway_proxy_protocol_total" => &["listener", "result"],
        "gateway_shed_total" => &["reason"],
        "gateway_worker_loop_delay_seconds" => &["worker"],
        "gateway_admin_writes_total" => &["action", "result"],
        "gateway_build_info" => &["version", "commit"],
        plain if is_plain(plain) => &[],
        _ => return None,
    })
}

/// Whether a family has one sample, without labels.
fn is_plain(family: &str) -> bool {
    family.starts_with("process_")
        || matches!(
            family,
            "gateway_log_dropped_total"
                | "gateway_log_write_failures_total"
                | "gateway_log_failing"
                | "gateway_config_last_reload_ok"
                | "gateway_config_needs_restart"
                | "gateway_spans_dropped_total"
                | "gateway_config_version"
                | "gateway_config_reload_failures_total"
                | "gateway_cache_entries"
                | "gateway_cache_bytes"
                | "gateway_cache_evicted_total"
                | "gateway_unbuffered_bodies_total"
                | "gateway_panics_total"
        )
}

/// Every value that a label may have; `None` where that is a matter of configuration.
pub(super) fn values(family: &str, label: &str) -> Option<Vec<&'static str>> {
    macro_rules! all {
        ($kind:ty) => {
            <$kind>::ALL.iter().map(|one| one.as_str()).collect()
        };
    }
    Some(match (family, label) {
        ("gateway_requests_total", "status_class") => vec!["1xx", "2xx", "3xx", "4xx", "5xx"],
        ("gateway_requests_total", "code") => Code::ALL.iter().map(|code| code.as_str()).chain(["ok"]).collect(),
        ("gateway_fallbacks_total", "result") => all!(FallbackResult),
        ("gateway_coalesced_total", "result") => all!(CoalesceResult),
        ("gateway_cache_requests_total", "result") => all!(CacheUse),
        ("gateway_mirrored_total", "result") => all!(MirrorResult),
        ("gateway_forward_auth_total", "result") => all!(WordResult),
        (_, "coding") => all!(Coding),
        (_, "form") => vec!["before", "after"],
        ("gateway_aggregate_parts_total", "result") => all!(PartResult),
        ("gateway_batches_sent_total", "reason") => all!(Reason),
        ("gateway_upstream_attempts_total", "outcome") => all!(AttemptOutcome),
        ("gateway_retries_total", "result") => all!(RetryResult),
        ("gateway_hedges_total", "result") => all!(HedgeResult),
        ("gateway_upstream_tls_handshakes_total", "result") => all!(UpstreamHandshake),
        ("gateway_upstream_connections", "state") => vec!["busy", "idle"],
        ("gateway_endpoints", "state") => all!(EndpointState),
        ("gateway_limit_decisions_total" | "gateway_limit_in_flight_decisions_total", "decision") => {
            all!(LimitDecision)
        }
        ("gateway_auth_total", "result") => all!(AuthResult),
        ("gateway_token_cache_total", "result") => all!(CacheResult),
        ("gateway_spans_total", "result") => all!(SpanResult),
        ("gateway_tls_handshakes_total", "result") => all!(HandshakeResult),
        ("gateway_proxy_protocol_total", "result") => all!(Announcement),
        ("gateway_admin_writes_total", "action") => all!(AdminAction),
        ("gateway_admin_writes_total", "result") => all!(AdminResult),
        ("gateway_shed_total", "reason") => all!(ShedReason),
        _ => return None,
    })
}
