//! Types, forms, bounds, addresses, headers, variables.

use std::path::Path;

use gateway::config::{Environment, LoadError, Purpose, load, load_text_with};

use super::{NoEnvironment, check, check_route, errors, warnings};

#[test]
fn keys_and_types() {
    check("servr = {}", &["1:1: unknown key \"servr\""]);
    check("[server]\nworkrs = 1", &["2:1: unknown key \"workrs\" in [server]"]);
    check("server = 1", &["1:10: expected a table, found an integer"]);
    check("[server]\nworkers = \"1\"", &["2:11: expected a whole number, found a string"]);
    check("[server]\nworkers = 1.0", &["2:11: expected a whole number, found a number"]);
    check("[server]\nworkers = 1979-05-27", &["2:11: expected a whole number, found a date"]);
    check("[server]\nmerge_slashes = 1", &["2:17: expected true or false, found an integer"]);
    check("[server]\nmax_body = 0", &["2:12: expected a size, found an integer"]);
    check("[server]\nidle_timeout = 5", &["2:16: expected a duration, found an integer"]);
    check("[server]\ntrusted_proxies = \"10.0.0.0/8\"", &["2:19: expected a list, found a string"]);
    check("[routes]\npath = \"/\"", &["1:1: expected a list of tables, found a table"]);
    check("routes = [1]", &["1:11: expected a table, found an integer"]);
    check("[upstreams]\na = 1", &["2:5: expected a table, found an integer"]);
    check("[server]\nescaped_slash = \"rejct\"", &["2:17: expected one of \"reject\", \"keep\", found \"rejct\""]);
}

#[test]
fn a_body_that_is_held_has_room() {
    let text = |most: &str| {
        let route = "[[routes]]\npath = \"/\"\nupstream = \"http://a\"";
        format!("[server]\nbody_match_memory = \"8MiB\"\n{route}\nbuffer_request = \"{most}\"")
    };
    check(&text("4MiB"), &[]);
    check(
        &text("5MiB"),
        &["6:18: `buffer_request` is more than half of what all bodies may take together on a worker"],
    );
}

#[test]
fn forms_and_bounds() {
    check("[server]\nidle_timeout = \"5\"", &["2:16: \"5\" is not a duration: the unit is missing"]);
    check("[server]\nidle_timeout = \"0s\"", &["2:16: \"0s\" is not between 1ms and 24h"]);
    check("[server]\nbody_total_timeout = \"48h\"", &["2:22: \"48h\" is not between 1ms and 24h, or \"0s\""]);
    check("[server]\nmax_body = \"10MB\"", &["2:12: \"10MB\" is not a size: \"MB\" is no unit of size"]);
    check("[server]\nmax_header_bytes = \"0\"", &["2:20: \"0\" is not between 1KiB and 16MiB"]);
    check("[server]\nmax_headers = 0", &["2:15: 0 is not between 1 and 10000"]);
    check("[telemetry.access_log]\nsample = 1.5", &["2:10: 1.5 is not between 0 and 1"]);
    check(
        "[server]\nmax_header_bytes = \"4KiB\"",
        &["2:20: max_uri_bytes (8KiB) is above max_header_bytes (4KiB), which it is a part of"],
    );
    check(
        "[server]\nmax_connections = 99999999999999999999",
        &["2:19: the number is too large: \"99999999999999999999\""],
    );
    check("[server]\nhalf_closed = \"open\"", &["2:15: expected one of \"close\", \"answer\", found \"open\""]);
    check(
        "[server]\nvia = \"1.1 edge\"",
        &[
            "2:7: \"1.1 edge\" is not a name, perhaps with a port, or empty: it is letters, digits, hyphens, dots and underscores",
        ],
    );
    check(
        "[server]\nvia = \"edge:http\"",
        &["2:7: \"edge:http\" is not a name, perhaps with a port, or empty: what follows the colon is no port"],
    );
    check("[server]\nvia = \"edge-1:8080\"", &[]);
    check("[telemetry.tracing]\nsample_ratio = nan", &["2:16: the number is not finite: \"nan\""]);
}

#[test]
fn addresses() {
    let missing = "\"127.0.0.1\" is not an IP address and port: the port is missing";
    check("[[listeners]]\naddress = \"127.0.0.1\"", &[&format!("2:11: {missing}")]);
    check(
        "[[listeners]]\naddress = \":80\"",
        &["2:11: \":80\" is not an IP address and port: the address is missing, 0.0.0.0:80 is every one"],
    );
    check(
        "[[listeners]]\naddress = \"localhost:80\"",
        &["2:11: \"localhost:80\" is not an IP address and port: names are not resolved here, localhost is 127.0.0.1"],
    );
    for (address, why) in [
        ("2001:db8::1:8080", "an IPv6 address is in brackets, and its port behind them: [2001:db8::1]:8080"),
        (":::8080", "an IPv6 address is in brackets, and its port behind them: [::]:8080"),
        ("::1", "an IPv6 address is in brackets, and its port behind them: [::1]:PORT"),
        ("[::1]", "the port is missing"),
        ("*:8080", "every address is 0.0.0.0:8080, and with those of IPv6 [::]:8080"),
    ] {
        let said = format!("2:11: \"{address}\" is not an IP address and port: {why}");
        check(&format!("[[listeners]]\naddress = \"{address}\""), &[&said]);
    }
    check("[[listeners]]\n[[listeners]]", &["2:1: another listener has the address 127.0.0.1:8080 already"]);
    check("[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"", &[]);
    check(
        "[admin]\naddress = \"127.0.0.1:8080\"",
        &["2:11: a listener has the address 127.0.0.1:8080; admin needs its own"],
    );
    check(
        "[admin]\naddress = \"0.0.0.0:9901\"",
        &["2:11: the admin address 0.0.0.0:9901 is off loopback and has no token"],
    );
    check("[admin]\naddress = \"0.0.0.0:9901\"\ntoken_env = \"UNSET_TOKEN\"", &[]);
    check("[admin]\naddress = \"\"", &[]);
    check(
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        &["2:20: \"10.0.0.0/33\" is not a network: it is an address and a prefix length"],
    );
}

#[test]
fn where_balancers_name_clients_some_are_believed_and_not_everybody() {
    check("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[[listeners]]\nproxy_protocol = true", &[]);
    check(
        "[[listeners]]\nproxy_protocol = true",
        &["2:18: proxy_protocol without trusted_proxies refuses every connection: nobody's header is believed"],
    );
    let text = "[server]\ntrusted_proxies = [\"::/0\"]\n[[listeners]]\nproxy_protocol = true";
    let warning = "4:18: with ::/0 in trusted_proxies anybody who connects chooses their own address \
                   (write the balancers' networks there, and no others)";
    assert!(warnings(text).contains(&warning.to_owned()));
    check("[[listeners]]\nproxy_protocol = 1", &["2:18: expected true or false, found an integer"]);
}

#[test]
fn access_log() {
    check(
        "[telemetry.access_log]\noutput = \"no-such-folder/a.log\"",
        &["2:10: the folder of \"no-such-folder/a.log\" does not exist"],
    );
    check("[telemetry.access_log]\noutput = \"/\"", &["2:10: \"/\" is a folder"]);
    check("[telemetry.access_log]\noutput = \"\"", &["2:10: expected a file's path, found nothing"]);
}

#[test]
fn identity_headers() {
    check(
        "[identity]\nstrip_headers = [\"*\"]",
        &[
            "2:18: \"*\" is not a header's name, or the beginning of one and a star: a star alone would strip every header",
        ],
    );
    check(
        "[identity]\nstrip_headers = [\"content-*\"]",
        &["2:18: \"content-*\" is not a header's name, or the beginning of one and a star: it would strip \
         `content-length`, which the gateway needs"],
    );
    check(
        "[identity]\nsubject_header = \"a b\"",
        &["2:18: \"a b\" is not a header's name: it holds characters that no header's name holds"],
    );
    check(
        "[identity]\nsubject_header = \"x-auth-scopes\"",
        &["2:18: subject_header and scopes_header are the same header"],
    );
    check_route(
        "request_headers = { set = { X-Auth-Subject = \"root\" } }",
        &["4:29: \"x-auth-subject\" is an identity header, which only the gateway's identity sets"],
    );
}

#[test]
fn syntax_errors_are_all_reported_and_do_not_echo() {
    let found = errors("[server]\nworkers = \nmax_headers = 1x\n[[routes]\npath = \"/\"\nnme = 1\n");
    let lines: Vec<&str> = found.iter().filter_map(|error| error.split(':').next()).collect();
    assert!(lines.contains(&"2") && lines.contains(&"3") && lines.contains(&"4"), "{found:?}");
    let mut distinct = lines.clone();
    distinct.dedup();
    assert_eq!(lines, distinct, "one problem a line: {found:?}");
    check("a = 1\na = 2", &["1:1: unknown key \"a\"", "2:1: \"a\" is there twice: first at line 1"]);
}

#[test]
fn what_is_no_toml_is_told_once_and_with_a_remedy() {
    let said = |bytes: &[u8]| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, bytes).expect("written");
        match load(&file, Purpose::Check) {
            Err(LoadError::Invalid(problems)) => {
                let told = problems.iter().map(|it| (it.line, it.message.clone(), it.help.clone().expect("a remedy")));
                told.collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let once = |bytes: &[u8], line: usize, words: &str| {
        let told = said(bytes);
        assert!(told.len() == 1 && told[0].0 == line && told[0].1.contains(words), "{told:?}");
    };
    once(b"# ours\nlisteners:\n  - address: 127.0.0.1:8080\nroutes:\n  - path: /a\n", 2, "this is YAML");
    once(b"{\n  \"routes\": [\n    { \"path\": \"/a\" }\n  ]\n}\n", 1, "this is JSON");
    let helped = |bytes: &[u8]| said(bytes)[0].2.clone();
    for foreign in [
        &b"_format_version: \"3.0\"\nservices:\n"[..],
        b"{\n  \"version\": 3\n}\n",
        b"server {\n}\n",
        b"global\n  daemon\nfrontend web\n",
    ] {
        assert!(helped(foreign).contains("docs/coming-from.md"), "{}", helped(foreign));
    }
    once(b"server {\n  listen 80;\n  location / { proxy_pass http://a; }\n}\n", 1, "blocks in braces");
    let good = "[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n";
    let little: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    once(&little, 1, "UTF-16");
    once(&[&[0xff, 0xfe][..], &little].concat(), 1, "UTF-16");
    once(good.replace("path =", "path\u{a0}=").as_bytes(), 2, "U+00A0");
    once(good.replace("upstream", "\u{200b}upstream").as_bytes(), 3, "U+200B");
    once(good.replace("\"/\"", "\u{201c}/\u{201d}").as_bytes(), 2, "U+201C");
    once(
        format!("{good}{}", good.replace("[[routes]]", "[routes]")).as_bytes(),
        4,
        "\"[routes]\" is there twice: first at line 1",
    );
}

#[test]
fn variables() {
    check("[admin]\naddress = \"127.0.0.1:${PORT}\"", &["2:11: the environment variable \"PORT\" is not set"]);
    check("[admin]\naddress = \"127.0.0.1:${PORT:-9901}\"", &[]);
    check(
        "[admin]\naddress = \"127.0.0.1:${PORT:-x}\"",
        &["2:11: \"127.0.0.1:${PORT:-x}\" is not an IP address and port, or empty"],
    );
    check("[admin]\naddress = \"${\"", &["2:11: \"${\" is not a variable"]);
}

#[test]
fn a_method_that_nobody_knows_is_a_warning() {
    let said = |method: &str| {
        warnings(&format!("[[routes]]\npath = \"/\"\nupstream = \"http://a\"\nmethods = [\"{method}\"]"))
    };
    assert_eq!(said("GETT"), ["4:12: \"GETT\" is not a known HTTP method (did you mean \"GET\"?)"]);
    assert_eq!(said("PSOT"), ["4:12: \"PSOT\" is not a known HTTP method (did you mean \"POST\"?)"]);
    assert_eq!(said("X-FLY"), ["4:12: \"X-FLY\" is not a known HTTP method (it is matched as written)"]);
    assert_eq!(said("TRACE"), ["4:12: \"TRACE\" never matches (TRACE is refused before routes are looked at)"]);
    for any in ["*", "ANY", "ALL"] {
        let told =
            format!("4:12: \"{any}\" is a method like another, and not any (leave `methods` out: then it is any)");
        assert_eq!(said(any), [told]);
    }
    for known in ["GET", "PATCH", "PROPFIND", "QUERY", "PURGE"] {
        assert!(said(known).is_empty(), "{known}");
    }
    check_route("methods = [\"get\"]", &["4:12: \"get\" is not a method: methods are upper case, write GET"]);
}

#[test]
fn a_key_of_a_table_within_is_named_with_its_table() {
    let help = |text: &str| {
        let problems = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment).unwrap_err();
        problems.iter().next().unwrap().help.clone().unwrap()
    };
    let of_route = |key: &str| help(&format!("[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n{key} = 1"));
    assert_eq!(of_route("strip_prefix"), "it is a key of rewrite: rewrite = { strip_prefix = … }");
    for (key, table) in [("attempts", "retry"), ("scopes", "auth"), ("origins", "cors"), ("allow", "addresses")] {
        assert_eq!(of_route(key), format!("it is a key of {table}: {table} = {{ {key} = … }}"));
    }
    assert!(of_route("status").starts_with("it is a key of "), "{}", of_route("status"));
    assert_eq!(of_route("upstrem"), "did you mean \"upstream\"?");
    assert_eq!(help("workers = 1"), "it is a key of [server]: write it below that line");
    assert_eq!(help("[[route]]\npath = \"/\""), "did you mean \"routes\"?");
    assert_eq!(help("[server]\nzzz = 1"), "`gateway defaults` prints every key");
}

/// One variable, which says nothing.
struct Empty;

impl Environment for Empty {
    fn get(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(String::new)
    }
}

#[test]
fn a_secret_that_says_nothing_is_not_one_that_is_not_there() {
    let text =
        |name: &str| format!("[admin]\ntoken_env = \"{name}\"\n[[routes]]\npath = \"/\"\nupstream = \"http://a\"");
    for (name, message) in [
        ("TOKEN", "the environment variable \"TOKEN\" is empty"),
        ("OTHER", "the environment variable \"OTHER\" is not set"),
    ] {
        let checked = load_text_with(&text(name), Path::new("gateway.toml"), Purpose::Check, &Empty).unwrap();
        assert_eq!(checked.warnings[0].message, message);
        let refused = load_text_with(&text(name), Path::new("gateway.toml"), Purpose::Run, &Empty).unwrap_err();
        let problem = refused.iter().next().unwrap();
        assert!(problem.message == message && problem.help.is_some(), "{problem:?}");
    }
}

#[test]
fn habits_of_other_programs_are_met_with_advice() {
    let path = |path: &str| warnings(&format!("[[routes]]\npath = \"{path}\"\nupstream = \"http://a\""));
    let rest = "(perhaps {*rest}, or {name} for one segment, is meant)";
    assert_eq!(path("/*"), [format!("2:8: \"*\" in a path is matched as written {rest}")]);
    assert_eq!(path("/u/:id"), ["2:8: \":id\" in a path is matched as written (perhaps {id} is meant)"]);
    assert!(path("/items:batch/{id}").is_empty());
    let scheme = "4:10: \"https://a.example\" is not a host name: a host is written without its scheme";
    check_route("hosts = [\"https://a.example\"]", &[scheme]);
    let said = |text| load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment).unwrap_err();
    let problems = said("[[route]]\npath = \"/\"");
    assert_eq!(problems.iter().count(), 1, "no word on missing routes: {problems:?}");
    let problems = said("listeners = [\"0.0.0.0:80\"]");
    assert_eq!(problems.iter().next().unwrap().help.as_deref(), Some("write [[listeners]] and its keys below"));
}

#[test]
fn who_mistakes_the_form_of_a_table_is_told_the_right_one() {
    for (text, message, wanted) in [
        ("[[upstreams]]\nname = \"a\"", "1:1: expected a table, found a list", "[upstreams.NAME] and its keys below"),
        (
            "[[rate_limits]]\nrate = \"1/s\"",
            "1:1: expected a table, found a list",
            "[rate_limits.NAME] and its keys below",
        ),
        ("[[upstreams.a]]\n", "1:1: expected a table, found a list", "[upstreams.a] and its keys below"),
        ("[upstreams]\nurl = \"a\"", "2:7: expected a table, found a string", "[upstreams.NAME] and its keys below"),
        ("[upstreams]\nendpoints = []", "2:13: expected a table, found a list", "[upstreams.NAME] and its keys below"),
        ("[[server]]\n", "1:1: expected a table, found a list", "[server] and its keys below"),
        (
            "[[identity.providers]]\n",
            "1:1: expected a table, found a list",
            "[identity.providers.NAME] and its keys below",
        ),
        ("[routes]\npath = \"/\"", "1:1: expected a list of tables, found a table", "[[routes]]"),
    ] {
        let problems = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment).unwrap_err();
        let told = problems.iter().find(|problem| problem.message.starts_with("expected"));
        let told = told.unwrap_or_else(|| panic!("{text:?}: {problems:?}"));
        assert_eq!(format!("{}:{}: {}", told.line, told.column, told.message), message, "{text:?}");
        assert_eq!(told.help.as_deref(), Some(&*format!("write {wanted}")), "{text:?}");
    }
}
