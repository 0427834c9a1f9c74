//! `sim compare` as a user runs it, beside a real nginx, which is skipped with a line where there is none.

mod worlds;

use std::io::Write;
use std::path::Path;

use reports::result::Kind;
use worlds::{Short, assert_schema, nothing_ran, result_of, sim, text};

/// One of two endpoints fails for two seconds; later the configuration is read anew.
const SHORT: Short<'_> = Short {
    name: "short",
    load: "arrivals = \"constant\"\nrate = \"400/s\"\nduration = \"5s\"\nconnections = 8",
    fault: "at = \"1s\"\nfor = \"2s\"\nact = { status = 503 }",
    rest: "\n[[events]]\nat = \"3500ms\"\ndo = \"reload\"\n",
    upstream: "breaker = { consecutive_failures = 3, open_for = \"1s\", max_open_for = \"1s\", probes = 1 }",
    route: "",
};

/// What the user brings: round robin, and nothing that leaves an endpoint alone.
const OWN: &str = "daemon off; pid {dir}/own.pid; error_log {dir}/own.log; events {} http { access_log off;
client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
scgi_temp_path {dir}/s; upstream all { server mock://orders/0 max_fails=0; server mock://orders/1 max_fails=0; }
server { listen {listen}; location / { proxy_pass http://all; } } }";

fn written() -> tempfile::TempDir {
    let folder = SHORT.written();
    std::fs::write(folder.path().join("own.conf"), OWN).unwrap();
    folder
}

fn has_nginx() -> bool {
    let found =
        ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].iter().any(|path| Path::new(path).is_file());
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: nginx is not on this machine");
    }
    found
}

#[test]
fn nginx_is_scored_beside_ours_by_the_same_measure() {
    if !has_nginx() {
        return;
    }
    let folder = written();
    let (scenario, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let absent = ["--peers", "nginx,envoy", "--bin", "envoy=/no/such/envoy"];
    let output = sim(&[&["compare", text(&scenario), "--json", "--out", text(&out)], &absent[..]].concat());
    let result = result_of(&out, &output);
    assert_schema(&out);
    // Whether the measurement is valid depends on the machine; what happened does not.
    assert_eq!((result.kind, output.status.code()), (Kind::Compare, Some(if result.validity.valid { 0 } else { 4 })));
    assert_eq!(result.compare.keys().collect::<Vec<_>>(), ["gateway", "nginx"]);
    for (name, one) in &result.compare {
        // Within the fault, however long that takes on a busy machine.
        assert!(one.trip_ms.is_some_and(|ms| ms < 2_000.0), "{name}: {one:?}");
        assert!(one.reload_failures.is_some() && one.drain_failures.is_none(), "{name}: {one:?}");
        assert!(one.success_ratio.is_some_and(|ratio| ratio > 0.99), "{name}: a second attempt helps both: {one:?}");
    }
    // nginx closes idle connections at a reload, and a request may be on its way to one.
    assert_eq!(result.compare["gateway"].reload_failures, Some(0));
    assert!(result.compare["nginx"].version.contains("nginx/") && !result.compare["nginx"].lacks.is_empty());
    assert_eq!(result.compare["gateway"].lacks, [""; 0]);
    assert_eq!(result.other["missing"]["peers"][0], "envoy");
    assert!(result.validity.reasons.iter().any(|reason| reason.contains("cargo xtask peers")), "how to come by it");
    for page in ["report.html", "gateway/report.html", "nginx/report.html", "nginx/0-nginx.conf"] {
        assert!(out.join(page).is_file(), "{page}");
    }
    assert!(!out.join("nginx/nginx.pid").exists(), "nginx has ended");
}

#[test]
fn what_a_user_runs_today_is_compared_as_it_is() {
    if !has_nginx() {
        return;
    }
    let folder = written();
    let (scenario, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let own = format!("nginx={}", text(&folder.path().join("own.conf")));
    let output = sim(&["compare", text(&scenario), "--peers", "nginx", "--peer-config", &own, "--out", text(&out)]);
    let result = result_of(&out, &output);
    let nginx = &result.compare["nginx"];
    assert_eq!((nginx.trip_ms, nginx.figures["outages_never_left_alone"]), (None, 1.0), "it leaves nothing alone");
    assert!(nginx.success_ratio.is_some_and(|ratio| ratio < 0.9), "and does not try again");
    assert!(nginx.lacks[0].contains("own.conf"), "{:?}", nginx.lacks);
    let table = String::from_utf8_lossy(&output.stdout);
    let trips = table.lines().find(|line| line.starts_with("trip time"));
    assert!(trips.is_some_and(|line| line.ends_with("never")), "{table}");
}

#[test]
fn who_cannot_take_part_is_told_why_and_nothing_starts() {
    let folder = written();
    let (scenario, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let compare = |more: &[&str]| {
        let output = sim(&[&["compare", text(&scenario), "--out", text(&out)], more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = compare(&["--peers", "apache"]);
    assert!(code == Some(2) && said.contains("--peer-command"), "{said}");
    let (code, said) = compare(&["--peers", "nginx", "--bin", "envoy=/x"]);
    assert!(code == Some(2) && said.contains("does not take part"), "{said}");
    let (code, said) = compare(&["--peers", "envoy", "--bin", "envoy=/no/such/envoy"]);
    assert!(code == Some(3) && said.contains("cargo xtask peers"), "{said}");
    let (code, said) = compare(&["--peers", "nginx", "--peer-config", "nginx=/no/such/file"]);
    assert!(code == Some(3) && said.contains("/no/such/file"), "{said}");
    assert!(nothing_ran(&out));
}

#[test]
fn two_configurations_of_ours_are_compared_and_no_other_gateway_takes_part() {
    let folder = written();
    let next = folder.path().join("next.toml");
    let config = std::fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    std::fs::write(&next, config.replace("consecutive_failures = 3", "consecutive_failures = 60")).unwrap();
    let (scenario, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let named = format!("next={}", text(&next));
    let output = sim(&["compare", text(&scenario), "--gateway-config", &named, "--json", "--out", text(&out)]);
    // Whether it is valid as a measurement depends on the machine.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", String::from_utf8_lossy(&output.stderr));
    let result = reports::result::ResultFile::read(&out.join("result.json")).unwrap();
    assert_eq!(result.compare.keys().collect::<Vec<_>>(), ["gateway", "next"]);
    let filled = |name: &str| std::fs::read_to_string(out.join(name).join("gateway-0.toml")).unwrap();
    assert!(filled("next").contains("consecutive_failures = 60") && filled("gateway").contains("failures = 3"));
    let none = sim(&["compare", text(&scenario), "--gateway-config", "next=/no/such/file"]);
    assert_eq!(none.status.code(), Some(3));
}

#[test]
fn a_bad_file_or_command_of_a_peer_is_told_before_anything_runs() {
    let folder = written();
    let (scenario, out, config) =
        (folder.path().join("s.toml"), folder.path().join("out"), folder.path().join("mine.conf"));
    let compare = |wanted: i32, text_of_config: &str, more: &[&str]| {
        std::fs::write(&config, text_of_config).unwrap();
        let of = |name: &str| format!("{name}={}", text(&config));
        let name = more[1];
        let own = ["compare", text(&scenario), "--out", text(&out), "--peer-config", &of(name)];
        let output = sim(&[&own[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(wanted), "{said}");
        assert!(nothing_ran(&out), "nothing has run: {said}");
        said
    };
    let mine = |command: &'static str| ["--peers", "mine", "--peer-command", command];
    // The program.
    let said = compare(3, "{listen}", &mine("mine=/no/such/program {config}"));
    assert!(said.contains("mine: there is no program /no/such/program"), "{said}");
    let said = compare(3, "{listen}", &mine("mine=surely-no-such-program {config}"));
    assert!(said.contains("on the PATH"), "{said}");
    let said = compare(3, "{listen}", &mine("mine=/etc/passwd {config}"));
    assert!(said.contains("chmod +x"), "{said}");
    compare(2, "{listen}", &mine("mine= "));
    // The file: its own name comes first, as that of a scenario.
    let said = compare(1, "listen 80", &mine("mine=true {config}"));
    assert!(said.starts_with(text(&config)) && said.contains("write {listen}"), "{said}");
    let said = compare(1, "{listen} http://192.0.2.7:80 mock://orders/0", &mine("mine=true {config}"));
    assert!(said.contains("line 1: http://192.0.2.7:80 is not on this machine"), "{said}");
    let said = compare(1, "{listen}\n\nmock://users/0\n", &mine("mine=true {config}"));
    assert!(said.contains("line 3: there is no mock://users/0; there are orders/0, orders/1"), "{said}");
    if has_nginx() {
        let said = compare(
            1,
            "events {} http { server { listen {listen}; location / { proxy_pass http://mock://orders/0; }\n\
             listen_to nothing; } }",
            &["--peers", "nginx"],
        );
        assert!(said.starts_with(text(&config)) && said.contains("unknown directive"), "{said}");
        assert!(said.contains("mine.conf:2"), "the line of the user's own file: {said}");
    }
}

#[test]
fn a_program_that_is_not_the_one_that_it_is_called_is_told_before_anything_runs() {
    let folder = written();
    let (scenario, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let nginx = ["--peers", "nginx", "--bin", "nginx=/bin/false"];
    let output = sim(&[&["compare", text(&scenario), "--out", text(&out)], &nginx[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && said.contains("/bin/false does not take"), "{said}");
    assert!(nothing_ran(&out));
}
