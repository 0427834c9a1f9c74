//! What a scenario may hold in virtual time, and what can be expected there.

use super::*;

#[test]
fn what_only_sockets_carry_is_not_run_in_virtual_time() {
    let refused = |scenario: &str, what: &str| {
        let said = refused(scenario, GATEWAY);
        assert!(said.contains(&format!("error: the virtual runtime {what}")), "{what}: {said}");
        assert!(said.starts_with("s.toml:") && said.contains("run the scenario with runtime = \"sockets\""), "{said}");
    };
    refused(&format!("rest = \"1s\"\n{}", simulated()), "has no `rest`");
    refused(&format!("{}[[hostile]]\nname = \"a\"\nact = \"silent\"\n", simulated()), "has no `hostile`");
    refused(&format!("{}[redis]\ninstances = 1\n", simulated()), "has no Redis");
    refused(&simulated().replace("config =", "instances = 2\nconfig ="), "has one gateway");
    let calling = simulated().replace("endpoints = 2", "endpoints = 2\ncalls = [\"/a\"]");
    refused(&calling, "has no services that call others");
    refused(&format!("{}[[events]]\nat = \"1s\"\ndo = \"restart\"\n", simulated()), "has no event but `reload`");
    refused(&simulated().replace("request =", "http2 = true\nrequest ="), "speaks HTTP/1.1 in the clear");
}

#[test]
fn what_virtual_time_has_can_be_expected_and_what_a_machine_shows_cannot() {
    let expect = |figure: &str| format!("{}[[expect]]\nfigure = '{figure}'\nmax = 1\n", simulated());
    for figure in [
        "load.steady.phases.before.latency_us.p99",
        "breakers.orders/1.trip_ms",
        "balance.orders.share.orders/1",
        "gateway.0.reuse_ratio",
        "accounting.missing",
        "retries.budget_refused",
        "prometheus.0.gateway_requests_total",
        "virtual_time.anomalies",
    ] {
        assert_eq!(read(&expect(figure)).expectations.len(), 1, "{figure}");
    }
    for figure in [
        "gateway.0.cpu_us_per_request",
        "gateway.0.rss_bytes.peak",
        "load.steady.client_cpu_us_per_request",
        "load.steady.phases.before.added_us.p99",
        "alone.steady.cpu_us_per_request",
        "validity.pacer_lag_us.p99",
        "environment.steal_ratio",
        "prometheus.0.process_open_fds",
    ] {
        let said = refused(&expect(figure), GATEWAY);
        let what = format!("nothing costs anything, so that the result will hold no `{figure}`");
        let place = format!("s.toml:19:10: error: in virtual time {what}");
        assert!(said.starts_with(&place) && said.contains("run the scenario with runtime"), "{said}");
    }
    let on_sockets = format!("{SCENARIO}[[expect]]\nfigure = 'virtual_time.anomalies'\nmax = 0\n");
    assert!(refused(&on_sockets, GATEWAY).contains("the result will hold no figure"));
}
