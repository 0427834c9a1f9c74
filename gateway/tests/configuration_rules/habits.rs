//! What is written out of habit of other gateways, and does something else here than it seems to.

use std::path::Path;

use gateway::config::{Purpose, load_text};

use super::{check, check_route, errors, warnings};

/// What is said of these keys of a route; they begin on line 4.
fn said(keys: &str) -> Vec<String> {
    warnings(&format!("[[routes]]\npath = \"/a/{{id}}\"\nupstream = \"http://127.0.0.1:1\"\n{keys}"))
}

#[test]
fn a_path_with_a_last_slash_is_no_prefix() {
    let of = |path: &str| warnings(&format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://a\""));
    let told = "2:8: \"/api/\" is this one path, and nothing below it (\"/api/{*rest}\" is all below it)";
    assert_eq!(of("/api/"), [told]);
    assert!(of("/").is_empty() && of("/api").is_empty() && of("/api/{*rest}").is_empty());
    let beside = "[[routes]]\npath = \"/api/{*rest}\"\nupstream = \"http://a\"\n";
    assert!(warnings(&format!("{beside}[[routes]]\npath = \"/api/\"\nanswer = {{}}")).is_empty());
    assert!(warnings(&format!("{beside}[[routes]]\npath = \"/api/\"\nupstream = \"http://a\"")).is_empty());
    assert!(warnings("[[routes]]\npath = \"/docs/\"\nredirect = { path = \"/docs\" }").is_empty());
}

#[test]
fn a_star_within_a_segment_is_matched_as_written() {
    let of = |path: &str| warnings(&format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://a\""));
    let told = "2:8: \"api*\" in a path is matched as written (perhaps {*rest} behind a slash is meant)";
    assert_eq!(of("/api*"), [told]);
}

#[test]
fn a_word_for_an_output_is_no_file() {
    for (word, meant) in [("stderr", "stdout"), ("none", "off"), ("false", "off"), ("OFF", "off")] {
        let said =
            warnings(&format!("[telemetry.access_log]\noutput = \"{word}\"\n[[routes]]\npath = \"/\"\nanswer = {{}}"));
        let told = format!(
            "2:10: \"{word}\" is a file of this name (perhaps \"{meant}\" is meant; a file of this name is \"./{word}\")"
        );
        assert_eq!(said, [told]);
    }
}

#[test]
fn a_variable_of_a_shell_and_a_template_have_a_remedy() {
    for (endpoint, help) in [
        ("$ORDERS_ADDR", "a variable of the environment is written ${NAME}"),
        ("{{ .Values.x }}", "this is a template that was not filled in"),
    ] {
        let text = format!("[upstreams.a]\nendpoints = [\"{endpoint}\"]");
        let Err(problems) = load_text(&text, Path::new("a.toml"), Purpose::Check) else { panic!("{text}") };
        assert_eq!(problems.iter().next().and_then(|problem| problem.help.as_deref()), Some(help), "{endpoint}");
    }
}

#[test]
fn a_host_that_upstreams_are_told_tells_no_routes_apart() {
    let route = |host: &str| format!("[[routes]]\npath = \"/{{*rest}}\"\nupstream = \"http://a\"\nhost = \"{host}\"\n");
    let text = route("a.example") + &route("b.example");
    let Err(problems) = load_text(&text, Path::new("a.toml"), Purpose::Check) else { panic!("{text}") };
    let help = problems.iter().next().and_then(|problem| problem.help.clone()).unwrap();
    assert!(help.contains("`hosts = [ … ]`"), "{help}");
}

#[test]
fn a_wide_route_of_a_higher_priority_is_told_of() {
    let wide = "[[routes]]\npath = \"/{*rest}\"\nupstream = \"http://a\"\npriority = 10\n";
    let narrow = |path: &str| format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://a\"\n");
    let help = "(give the wider route the lower `priority`)";
    assert_eq!(
        warnings(&format!("{wide}{}", narrow("/health"))),
        [format!(
            "5:1: no request reaches this route: the one at gateway.toml:1 has the higher priority and takes them all {help}"
        )]
    );
    assert_eq!(
        warnings(&format!("{wide}{}{}", narrow("/health"), narrow("/b"))),
        [format!(
            "1:1: this route leaves no request to the one at gateway.toml:5 and to 1 more: it has the higher priority, and \
             takes all of theirs {help}"
        )]
    );
}

#[test]
fn nobody_comes_over_tls_where_nobody_ends_or_tells_it() {
    let told = "4:9: nobody can come over TLS: behind a balancer that ends it every client is redirected, for ever (write \
                the balancer's network in [server] trusted_proxies, or `tls` at a listener)";
    assert_eq!(said("https = \"redirect\""), [told]);
    assert!(said("https = \"require\"")[0].contains("every client gets 403"));
    assert!(said("https = \"any\"").is_empty());
    assert!(said("https = \"redirect\"\n[server]\ntrusted_proxies = [\"10.0.0.0/8\"]").is_empty());
    let shared = "[defaults.route]\nhttps = \"redirect\"\n[[routes]]\npath = \"/b\"\nanswer = {}";
    assert_eq!(said(shared).len(), 1, "once for all routes");
}

#[test]
fn a_redirect_to_its_own_path_is_a_circle() {
    let redirect = |path: &str, keys: &str| format!("[[routes]]\npath = \"{path}\"\nredirect = {{ {keys} }}");
    let circle = "3:21: this redirect leads to the path that it is for: in a circle";
    check(&redirect("/{*rest}", "path = \"/{rest}\""), &[circle]);
    check(&redirect("/a/{id}", "path = \"/a/{id}\", scheme = \"https\""), &[]);
    // Who sent a form comes back with a GET.
    let after_a_form = redirect("/form", "path = \"/form\", status = 303");
    check(&format!("{after_a_form}\nmethods = [\"POST\"]"), &[]);
    check(&format!("{after_a_form}\nmethods = [\"GET\", \"POST\"]"), &[circle]);
    check(&redirect("/{*rest}", "path = \"/{rest}\", host = \"b.example\""), &[]);
    check(&redirect("/a/{id}", "path = \"/b/{id}\""), &[]);
    let without_query = redirect("/a", "path = \"/a\", strip_query = true");
    check(&without_query, &[circle]);
    check(&format!("{without_query}\nquery = {{ old = \"*\" }}"), &[]);
}

#[test]
fn a_timeout_that_took_all_the_time_is_not_tried_again() {
    let told = "4:28: no timeout is tried again: one attempt has all of the route's time (write per_try_timeout = \"2s\", \
                or what an attempt may take)";
    assert_eq!(said("retry = { on = [\"connect\", \"timeout\"] }"), [told]);
    for keys in ["on = [\"timeout\"], per_try_timeout = \"2s\"", "on = [\"timeout\"], attempts = 1", "on = [\"503\"]"] {
        assert!(said(&format!("retry = {{ {keys} }}")).is_empty(), "{keys}");
    }
    let shared = "[defaults.route]\nretry = { on = [\"timeout\"] }\n[[routes]]\npath = \"/c\"\nupstream = \"http://127.0.0.1:1\"";
    assert_eq!(said(shared), [told.replace("4:28", "5:17")], "once, where it is written");
    let enough = "[defaults.route]\nretry = { on = [\"timeout\"], per_try_timeout = \"2s\" }";
    assert!(said(enough).is_empty());
    let own = "retry = { per_try_timeout = \"2s\" }\n[defaults.route]\nretry = { on = [\"timeout\"] }";
    assert!(said(own).is_empty(), "each route has what an attempt may take");
    let answers = "[defaults.route]\nretry = { on = [\"timeout\"] }\n[[routes]]\npath = \"/\"\nanswer = {}";
    assert!(warnings(answers).is_empty(), "nobody is asked");
    let policy = "policies = [\"tried\"]\n[policies.tried]\nretry = { on = [\"timeout\"] }";
    assert_eq!(said(policy).len(), 1);
}

#[test]
fn large_bodies_have_time_to_come() {
    let told = |body: &str| {
        format!(
            "4:12: {body} is 408 where it takes longer than the route's 15s: `timeout` is for the upload too (timeout = \"0s\" \
             leaves it to body_idle_timeout of [server]; or write what it may take)"
        )
    };
    assert_eq!(said("max_body = \"100MiB\""), [told("a body of 100MiB")]);
    assert_eq!(said("max_body = \"0\""), [told("a body of any size")]);
    assert!(said("max_body = \"15MiB\"").is_empty());
    for meant in ["timeout = \"10s\"", "timeout = \"0s\""] {
        assert!(said(&format!("max_body = \"100MiB\"\n{meant}")).is_empty(), "{meant}");
    }
    assert!(said("max_body = \"100MiB\"\n[defaults.route]\ntimeout = \"0s\"").is_empty());
    assert_eq!(said("max_body = \"100MiB\"\n[defaults.route]\ntimeout = \"30s\"").len(), 1);
}

#[test]
fn a_host_is_no_header_to_look_at() {
    let told = "4:13: this is compared with the port that clients write, and comes behind the routes of any `hosts` \
                (write hosts = [\"x.test\"]: it looks at the name alone)";
    assert_eq!(said("headers = { Host = \"x.test\" }"), [told]);
    assert!(said("headers = { host = \"~(.*[.])?x[.]test\" }")[0].contains("hosts = [\"a.example\"]"));
    assert!(said("hosts = [\"x.test\"]").is_empty());
}

#[test]
fn a_scope_is_one_word() {
    let auth = |scopes: &str| {
        errors(&format!(
            "[identity.providers.m]\nkind = \"mtls\"\n[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n\
             auth = {{ providers = [\"m\"], scopes = [{scopes}] }}\n[[listeners]]\n"
        ))
    };
    let is_about_scopes = |told: &String| told.contains("is not a scope: a scope is not empty and holds no space");
    assert!(auth("\"orders:read orders:write\"").iter().any(is_about_scopes));
    assert!(!auth("\"orders:read\", \"orders:write\"").iter().any(is_about_scopes));
}

#[test]
fn a_limit_by_identity_wants_one() {
    let with = |limit: &str| {
        let limit = format!("[rate_limits.l]\nrate = \"1/s\"\nburst = 1\n{limit}");
        said(&format!("rate_limits = [\"l\"]\n{limit}"))
    };
    let told = |key: &str| {
        format!("4:16: this limit counts by {key}, which no request of this route proves: it counts by address")
    };
    for key in ["subject", "claim:tenant"] {
        let found = with(&format!("key = \"{key}\""));
        assert!(found.len() == 1 && found[0].starts_with(&told(key)), "{found:?}");
    }
    assert!(with("key = \"client_ip\"").is_empty());
    let shared =
        "[defaults.route]\nrate_limits = [\"l\"]\n[rate_limits.l]\nrate = \"1/s\"\nburst = 1\nkey = \"subject\"";
    assert!(said(shared).is_empty(), "it counts for each route as it can");
    assert!(with("key = \"subject\"\nanonymous = { rate = \"1/s\", burst = 1 }").is_empty());
}

#[test]
fn a_prefix_is_removed_where_it_can_be() {
    let strip = |path: &str, prefix: &str| {
        warnings(&format!(
            "[[routes]]\npath = \"{path}\"\nupstream = \"http://a\"\nrewrite = {{ strip_prefix = \"{prefix}\" }}"
        ))
    };
    let told =
        "4:28: no path of this route begins with \"/app\": nothing is removed (the route's path is \"/api/{*rest}\")";
    assert_eq!(strip("/api/{*rest}", "/app"), [told]);
    assert_eq!(strip("/api", "/api/v1").len(), 1);
    for (path, prefix) in
        [("/api/{*rest}", "/api"), ("/api/{*rest}", "/api/v1/"), ("/{kind}/x", "/api"), ("/{*rest}", "/")]
    {
        assert!(strip(path, prefix).is_empty(), "{path} {prefix}");
    }
    let shared = "[defaults.route]\nrewrite = { strip_prefix = \"/b\" }";
    assert!(said(shared).is_empty(), "what routes share is of no use to some of them");
}

#[test]
fn a_network_is_written_without_an_address_in_it() {
    let told = "4:24: \"10.1.2.3/8\" is all of 10.0.0.0/8 (write 10.0.0.0/8, or 10.1.2.3 for the one address)";
    assert_eq!(said("addresses = { allow = [\"10.1.2.3/8\"] }"), [told]);
    assert!(said("addresses = { allow = [\"10.0.0.0/8\", \"10.1.2.3\", \"fd00::/8\"] }").is_empty());
    assert_eq!(said("[server]\ntrusted_proxies = [\"fd00::1/8\"]").len(), 1);
}

#[test]
fn listeners_that_take_each_others_addresses() {
    let two = |one: &str, other: &str, keys: &str| {
        errors(&format!("[[listeners]]\naddress = \"{one}\"\n{keys}\n[[listeners]]\naddress = \"{other}\"\n{keys}"))
    };
    let told =
        |one: &str, other: &str| vec![format!("5:11: {other} and the listener on {one} have addresses in common")];
    for (one, other) in [
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::]:80", "[::1]:80"),
        ("[::]:80", "127.0.0.1:80"),
    ] {
        assert_eq!(two(one, other, ""), told(one, other));
        assert!(two(one, other, "reuse_port = true").is_empty(), "the kernel tells them apart");
    }
    for (one, other) in [
        ("0.0.0.0:80", "[::]:80"),
        ("[::]:80", "0.0.0.0:80"),
        ("0.0.0.0:80", "127.0.0.1:81"),
        ("0.0.0.0:80", "[::1]:80"),
        ("0.0.0.0:0", "127.0.0.1:0"),
    ] {
        assert!(two(one, other, "").is_empty(), "{one} {other}");
    }
    check(
        "[[listeners]]\naddress = \"0.0.0.0:9901\"",
        &["1:1: a listener has the address 0.0.0.0:9901; admin needs its own"],
    );
}

#[test]
fn what_is_sent_to_the_gateway_itself_comes_in_again() {
    let to =
        |url: &str, listeners: &str| warnings(&format!("[[routes]]\npath = \"/a\"\nupstream = \"{url}\"\n{listeners}"));
    let told = |url: &str| {
        vec![format!(
            "3:12: \"{url}\" is this gateway: what is sent there comes in again (write the service's own address; what \
             goes in a circle is refused when it has come ten times)"
        )]
    };
    for url in ["http://127.0.0.1:8080", "http://localhost:8080"] {
        assert_eq!(to(url, ""), told(url), "where the gateway is when nobody says where");
    }
    let listeners = "[[listeners]]\naddress = \"127.0.0.1:7000\"\n[[listeners]]\naddress = \"0.0.0.0:7888\"";
    for url in ["http://127.0.0.1:7000", "http://127.0.0.2:7888", "http://localhost:7888"] {
        assert_eq!(to(url, listeners), told(url), "{url}");
    }
    for url in ["http://127.0.0.1:8080", "http://127.0.0.2:7000", "http://10.0.0.7:7888", "http://own.test:7888"] {
        assert!(to(url, listeners).is_empty(), "{url}");
    }
}

#[test]
fn j1_what_clients_are_passed_on_to_is_not_the_admin() {
    let told = |place: &str, written: &str| {
        vec![format!("{place}: \"{written}\" is the admin address, which no client may reach")]
    };
    let endpoint = |address: &str| errors(&format!("[upstreams.a]\nendpoints = [\"{address}\"]"));
    for address in ["127.0.0.1:9901", "localhost:9901", "[::ffff:127.0.0.1]:9901"] {
        assert_eq!(endpoint(address), told("2:14", address), "where admin is when nobody says where");
    }
    for address in ["127.0.0.1:9902", "10.0.0.7:9901", "admin.internal:9901"] {
        assert!(endpoint(address).is_empty(), "{address}");
    }
    let route = |keys: &str| errors(&format!("[[routes]]\npath = \"/\"\n{keys}\n[admin]\naddress = \"[::1]:7000\""));
    assert_eq!(route("upstream = \"http://[::1]:7000\""), told("3:12", "http://[::1]:7000"));
    let asked = "upstream = \"http://a\"\nforward_auth = { upstream = \"http://localhost:7000\", path = \"/x\" }";
    assert_eq!(route(asked), told("4:29", "http://localhost:7000"));
    let written = |more: &str| errors(&format!("[admin]\naddress = \"127.0.0.1:7000\"\n[upstreams.a]\n{more}"));
    assert_eq!(written("endpoints = [{ address = \"127.0.0.1:7000\" }]"), told("4:26", "127.0.0.1:7000"));
    assert_eq!(written("discovery = { dns = \"localhost:7000\" }"), told("4:21", "localhost:7000"));
    assert!(errors("[admin]\naddress = \"\"\n[upstreams.a]\nendpoints = [\"127.0.0.1:9901\"]").is_empty());
}

#[test]
fn a_log_is_written_where_one_may_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log =
        format!("[telemetry.access_log]\noutput = \"{}\"\n[[routes]]\npath = \"/\"\nanswer = {{}}", path.display());
    assert!(warnings(&log).is_empty());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    // The administrator may write everywhere.
    let may_write = std::fs::write(&path, "").is_ok();
    let told = warnings(&log);
    assert_eq!(told.len(), usize::from(!may_write), "{told:?}");
    assert!(told.iter().all(|told| told.contains("cannot be written to by the user that asks now")), "{told:?}");
}

#[test]
fn a_file_that_may_not_be_read_is_told_once_and_how_to_mend_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        return; // The administrator may read everything.
    }
    let keys = format!("[identity.providers.k]\nkind = \"api_key\"\nfile = \"{}\"", path.display());
    check(&keys, &[&format!("3:8: cannot read the file \"{}\": Permission denied", path.display())]);
    check_route("", &[]);
}
