//! A configuration as a whole: the contract's file, a file with many mistakes, short forms.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::config::settings::identity::HeaderPattern;
use gateway::config::settings::route::{HostPattern, HostPolicy, Rewrite, RewritePiece, ValueMatch};
use gateway::config::settings::upstream::{Balance, Endpoints, HashKey, Target};
use gateway::config::{
    Config, Environment, LoadError, Problem, Problems, Purpose, Severity, load, load_text, load_text_with,
};

fn contract(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract").join(file)
}

fn messages(problems: &Problems, severity: Severity) -> Vec<&str> {
    problems.iter().filter(|problem| problem.severity == severity).map(|problem| problem.message.as_str()).collect()
}

#[test]
fn the_contracts_file_holds() {
    let loaded = load(&contract("reference.toml"), Purpose::Check);
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}

struct Variables(&'static [(&'static str, &'static str)]);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }
}

fn load_ok(text: &str) -> Config {
    match load_text_with(text, Path::new("gateway.toml"), Purpose::Run, &Variables(&[("PORT", "9001")])) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let text = include_str!("data/ten_mistakes.toml");
    let Err(problems) = load_text(text, Path::new("ten.toml"), Purpose::Check) else { panic!("mistakes") };
    let found: Vec<String> =
        problems.iter().map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message)).collect();
    assert_eq!(
        found,
        [
            "2:1: unknown key \"worker\" in [server]",
            "3:15: expected a whole number, found a string",
            "4:17: \"30 s\" is not a duration: \" s\" is no unit of time",
            "5:12: \"10MB\" is not a size: \"MB\" is no unit of size",
            "6:19: 0 is not between 1 and 10000000",
            "12:8: \"5/d\" is not a rate: \"/d\" is no unit of rate",
            "19:12: unknown upstream \"order\"",
            "21:1: this route matches the same requests as the one at ten.toml:16",
            "27:8: the name \"one\" is taken at ten.toml:17",
            "30:21: \"~(\" is not a value, \"*\" or \"~REGEX\": the pattern is invalid: unclosed group",
            "34:16: cannot read the file \"no.pem\": No such file or directory",
            "34:32: cannot read the file \"no.key\": No such file or directory",
        ]
    );
    assert_eq!(problems.len(), 12);
    assert!(problems.to_string().contains("= help: did you mean \"orders\"?"), "{problems}");
    assert!(problems.to_string().ends_with("\n12 problems"), "{problems}");
}

#[test]
fn three_lines_are_a_whole_configuration() {
    let config = load_ok("[[routes]]\npath = \"/{*rest}\"\nupstream = \"http://127.0.0.1:9001\"\n");
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.expect("admin is on").address.to_string(), "127.0.0.1:9901");
    assert_eq!((&*config.routes[0].name, &*config.routes[0].upstream), ("/{*rest}", "127.0.0.1:9001"));
    assert_eq!(&*config.upstreams[0].name, "127.0.0.1:9001");
    let socket = Target::Socket("127.0.0.1:9001".parse().expect("an address"));
    let Endpoints::Static(endpoints) = &config.upstreams[0].endpoints else { panic!("written endpoints") };
    assert_eq!((&endpoints[0].target, endpoints[0].weight), (&socket, 1));
    assert_eq!(config.server.max_body, Some(10 << 20));
    assert_eq!(config.server.max_in_flight, None);
    assert_eq!(config.routes[0].timeout, Some(Duration::from_secs(15)));
    assert!(config.routes[0].websocket);
}

#[test]
fn short_forms_mean_the_long_ones() {
    let short = load_ok("[upstreams.a]\nendpoints = [\"b:1\"]\nbalance = \"round_robin\"\n");
    let long = load_ok(
        "[upstreams.a]\nendpoints = [{ address = \"b:1\", weight = 1 }]\nbalance = { policy = \"round_robin\" }\n",
    );
    assert_eq!(short.upstreams, long.upstreams);
    assert_eq!(short.upstreams[0].balance, Balance::RoundRobin);
    assert!(load_ok("[admin]\naddress = \"\"").admin.is_none());
    let two =
        "[[routes]]\npath = \"/a\"\nupstream = \"http://b\"\n[[routes]]\npath = \"/b\"\nupstream = \"http://B:80/\"\n";
    assert_eq!(load_ok(two).upstreams.len(), 1, "one URL is one upstream");
}

#[test]
fn a_route_reads_as_written() {
    let config = load_ok(
        r#"
        [upstreams.orders]
        discovery = { dns = "orders.internal:8080", refresh = "30s" }
        balance = { policy = "consistent_hash", key = "cookie:session" }
        pool = { max_connections = 9, max_lifetime = "2h" }
        [[routes]]
        path = "/api/{id}/{*rest}"
        hosts = ["API.example", "*.example.com"]
        methods = ["GET", "POST", "GET"]
        headers = { X-Version = "~v[0-9]+", x-any = "*" }
        query = { q = "1" }
        priority = -3
        upstream = "orders"
        rewrite = { path = "/v2/{id}/x/{rest}" }
        request_headers = { set = { X-A = "1" }, remove = ["X-B"] }
        timeout = "0s"
        host = "orders.internal:8080"
        upgrades = []
        max_body = "0"
        "#,
    );
    let route = &config.routes[0];
    let hosts = [HostPattern::Exact("api.example".to_owned()), HostPattern::Wildcard("example.com".to_owned())];
    assert_eq!(route.matches.hosts, hosts);
    assert_eq!(route.matches.methods, [http::Method::GET, http::Method::POST]);
    assert_eq!(route.matches.headers[0].0, "x-version");
    assert!(matches!(&route.matches.headers[0].1, ValueMatch::Pattern(p) if p.is_match("v2") && !p.is_match("v2x")));
    assert!(matches!(route.matches.headers[1].1, ValueMatch::Present));
    assert!(matches!(&route.matches.query[0].1, ValueMatch::Exact(value) if value == "1"));
    assert_eq!((route.matches.priority, route.timeout, route.websocket), (-3, None, false));
    assert_eq!(route.max_body, Some(None));
    assert_eq!(route.host, HostPolicy::Fixed("orders.internal:8080".parse().expect("a value")));
    let literal = |text: &str| RewritePiece::Literal(text.to_owned());
    let param = |text: &str| RewritePiece::Param(text.to_owned());
    let pieces = vec![literal("/v2/"), param("id"), literal("/x/"), param("rest")];
    assert_eq!(route.rewrite, Some(Rewrite::Path(pieces)));
    assert_eq!(route.request_headers.set[0].0, "x-a");
    assert_eq!(route.request_headers.remove[0], "x-b");
    let upstream = &config.upstreams[0];
    let Balance::ConsistentHash(hash) = &upstream.balance else { panic!("a hash ring") };
    assert_eq!((&hash.key, hash.bound, hash.bound_min), (&HashKey::Cookie("session".to_owned()), 1.25, 8));
    let Endpoints::Dns(dns) = &upstream.endpoints else { panic!("discovery") };
    assert_eq!((&*dns.host, dns.port, dns.refresh), ("orders.internal", 8080, Duration::from_secs(30)));
    assert_eq!((upstream.pool.max_connections, upstream.pool.max_idle_per_worker), (Some(9), 128));
}

#[test]
fn routes_and_upstreams_share_defaults() {
    let config = load_ok(
        r#"
        [defaults.route]
        upstream = "a"
        timeout = "3s"
        response_headers = { set = { x-frame-options = "DENY" }, remove = ["server"] }
        rewrite = { strip_prefix = "/api" }
        [defaults.upstream]
        pool = { connect_timeout = "2s", max_connections = 7 }
        balance = "random"
        [upstreams.a]
        endpoints = ["b:1"]
        pool = { max_connections = 8 }
        [[routes]]
        path = "/api/a"
        [[routes]]
        path = "/api/b"
        upstream = "http://c"
        timeout = "4s"
        rewrite = { path = "/b" }
        response_headers = { remove = [] }
        "#,
    );
    let [first, second] = config.routes.as_slice() else { panic!("two routes") };
    assert_eq!((&*first.upstream, first.timeout), ("a", Some(Duration::from_secs(3))));
    assert_eq!(first.rewrite, Some(Rewrite::StripPrefix("/api".to_owned())));
    assert_eq!((&*second.upstream, second.timeout), ("c:80", Some(Duration::from_secs(4))));
    assert!(matches!(second.rewrite, Some(Rewrite::Path(_))));
    assert_eq!((first.response_headers.set.len(), first.response_headers.remove.len()), (1, 1));
    assert_eq!((second.response_headers.set.len(), second.response_headers.remove.len()), (1, 0));
    for (upstream, connections) in config.upstreams.iter().zip([8, 7]) {
        assert_eq!(upstream.pool.connect_timeout, Duration::from_secs(2));
        assert_eq!(upstream.pool.max_connections, Some(connections));
        assert_eq!(upstream.balance, Balance::Random);
    }
}

#[test]
fn the_gateways_own_headers_are_always_stripped() {
    let names = |text| {
        let strip = load_ok(text).identity.strip;
        strip
            .into_iter()
            .map(|pattern| match pattern {
                HeaderPattern::Exact(name) => name.to_string(),
                HeaderPattern::Prefix(prefix) => format!("{prefix}*"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["x-auth-*"]);
    let written = "[identity]\nstrip_headers = [\"X-User\"]\nsubject_header = \"X-Subject\"\n";
    assert_eq!(names(written), ["x-user", "x-subject", "x-auth-scopes", "x-auth-provider"]);
}

#[test]
fn a_secret_that_is_not_set_is_a_warning_until_it_is_needed() {
    let text = "[admin]\naddress = \"0.0.0.0:9901\"\ntoken_env = \"TOKEN\"\n[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n";
    let load = |purpose, variables| load_text_with(text, Path::new("gateway.toml"), purpose, &Variables(variables));
    let checked = load(Purpose::Check, &[]).expect("a warning only");
    assert_eq!(checked.warnings[0].message, "the environment variable \"TOKEN\" is not set");
    let needed = load(Purpose::Run, &[]).expect_err("needed");
    let help = needed.iter().next().and_then(|problem| problem.help.as_deref());
    assert_eq!(
        help,
        Some(
            "set it where the gateway is started, the file has only its name: a gateway that runs has the variables that it was started with"
        ),
        "as on a reload"
    );
    assert_eq!(needed.len(), 1);
    assert_eq!(load(Purpose::Run, &[("TOKEN", "")]).expect_err("empty is not set").len(), 1);
    let run = load(Purpose::Run, &[("TOKEN", "s3cret")]).expect("set");
    let admin = run.config.admin.expect("on");
    assert_eq!(admin.token.as_deref(), Some("s3cret"));
    assert!(!format!("{admin:?}").contains("s3cret"));
}

#[test]
fn j2_a_secret_that_everybody_knows_is_refused_and_its_key_is_named() {
    type Held = &'static [(&'static str, &'static str)];
    let admin = "[admin]\naddress = \"0.0.0.0:9901\"\ntoken_env = \"IT\"\n";
    let provider = "[identity.providers.a]\nkind = \"jwt\"\nissuer = \"i\"\naudiences = [\"x\"]\n\
                    algorithms = [\"HS256\"]\nsecret_env = \"IT\"\n";
    let cookie = "[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\naffinity = { key_env = \"IT\" }\n";
    let own: Held = &[("IT", "x7Gq0v1c9nq2bT5wY8rZ4kLmPdFhJsUa")];
    let printed: Held = &[("IT", "a-string-secret-at-least-256-bits-long")];
    let cases: [(&str, &str, usize, Held); 4] = [
        (admin, "`token_env`", 3, &[("IT", "changeme")]),
        (admin, "`token_env`", 3, &[("IT", "aaaa")]),
        (provider, "`secret_env`", 6, printed),
        (cookie, "`key_env`", 3, &[("IT", "changemechangeme")]),
    ];
    for (text, key, line, held) in cases {
        for purpose in [Purpose::Check, Purpose::Run] {
            let load = |held| load_text_with(text, Path::new("gateway.toml"), purpose, &Variables(held));
            let problems = load(held).expect_err(key);
            let errors: Vec<&Problem> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
            let [error] = errors[..] else { panic!("{problems}") };
            assert!(error.message.starts_with(key) && error.line == line, "{problems}");
            assert!(error.help.as_deref().is_some_and(|help| help.contains("openssl rand")), "{problems}");
            assert!(!problems.to_string().contains(held[0].1), "{problems}");
            assert!(load(own).is_ok(), "{key}");
        }
    }
    let here = "[admin]\naddress = \"127.0.0.1:9901\"\ntoken_env = \"IT\"\n";
    let loaded = load_text_with(here, Path::new("gateway.toml"), Purpose::Run, &Variables(&[("IT", "secret")]));
    assert!(loaded.is_ok(), "nobody else can try it");
}

/// Where every variable holds the same.
struct All(&'static str);

impl Environment for All {
    fn get(&self, _: &str) -> Option<String> {
        Some(self.0.to_owned())
    }
}

#[test]
fn a_secret_with_a_line_end_or_blanks_around_it_is_told_of() {
    let with = |address: &str, held: &'static str| {
        let text = format!("[admin]\naddress = \"{address}\"\ntoken_env = \"IT\"\n");
        load_text_with(&text, Path::new("gateway.toml"), Purpose::Check, &All(held))
    };
    // As `echo` makes them, and what a Kubernetes secret holds that was made so.
    for (held, what) in [
        ("x7Gq0v1c9nq2bT5wY8rZ\n", "ends with a line end"),
        ("x7Gq0v1c9nq2bT5wY8rZ\r\n", "ends with a line end"),
        (" x7Gq0v1c9nq2bT5wY8rZ", "begins or ends with a blank"),
        ("x7Gq0v1c9nq2bT5wY8rZ\t", "begins or ends with a blank"),
        ("x7Gq0v1c9\u{7}nq2bT5wY8rZ", "has a control character in it"),
    ] {
        let problems = with("127.0.0.1:9901", held).expect_err("no request could have it");
        let shown = problems.to_string();
        assert!(shown.contains("`token_env`: what \"IT\" holds") && shown.contains(what), "{shown}");
        assert!(!shown.contains("x7Gq0v1c9"), "{shown}");
    }
    let told = |address, held| {
        let loaded = with(address, held).unwrap_or_else(|problems| panic!("{problems}"));
        loaded.warnings.iter().filter(|warning| warning.message.contains("guess")).count()
    };
    assert_eq!(told("0.0.0.0:9901", "x7Gq0v1c9nq2bT5"), 1, "fifteen");
    assert_eq!(told("0.0.0.0:9901", "x7Gq0v1c9nq2bT5w"), 0);
    assert_eq!(told("127.0.0.1:9901", "x7Gq0v1c9"), 0, "nobody else can try it");

    // Others go where such a secret may hold, which is seldom what is meant.
    let store = "[stores.s]\nurl = \"redis://127.0.0.1:6379\"\npassword_env = \"IT\"\n";
    let held = All("x7Gq0v1c9nq2bT5w\n");
    let loaded = load_text_with(store, Path::new("gateway.toml"), Purpose::Run, &held).expect("a warning");
    let warning = loaded.warnings.iter().find(|warning| warning.message.contains("line end")).expect("told of");
    assert!(warning.line == 3 && warning.help.as_deref().is_some_and(|help| help.contains("printf %s")));
}

#[test]
fn what_a_variable_holds_is_never_shown() {
    let text = "[server]\nidle_timeout = \"${SECRET}\"\n[[routes]]\npath = \"/\"\nupstream = \"${SECRET}\"\n";
    let variables = Variables(&[("SECRET", "hunter2")]);
    let problems = load_text_with(text, Path::new("gateway.toml"), Purpose::Run, &variables).expect_err("wrong values");
    let shown = problems.render(false);
    assert!(!shown.contains("hunter2") && shown.contains("unknown upstream \"${SECRET}\""), "{shown}");
    let config = load_ok("[[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:${PORT}\"\n");
    assert_eq!(&*config.routes[0].upstream, "127.0.0.1:9001");
}

#[test]
fn routes_without_identity_are_named_once_somebody_proves_identities() {
    let keys = contract("api-keys.toml");
    let text = format!(
        "[identity.providers.m]\nkind = 'api_key'\nfile = '{}'\n[[routes]]\npath = '/'\nupstream = 'http://a'\n",
        keys.display()
    );
    let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Check).expect("it holds");
    let told: Vec<&str> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told, ["this route has no `auth`: everybody may use it"]);
    let more = "[[routes]]\nname = 'r'\npath = '/r'\nupstream = 'http://a'\n[[routes]]\npath = '/moved'\n\
                redirect = { path = '/' }\n[[routes]]\npath = '/ok'\nanswer = {}\n";
    let loaded = load_text(&format!("{text}{more}"), Path::new("gateway.toml"), Purpose::Check).expect("it holds");
    let told: Vec<&str> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told, ["2 routes have no `auth`, everybody may use them: \"/\", \"r\""], "one warning for both");
}

#[test]
fn errors_stand_before_warnings() {
    let text = "[[routes]]\npath = '/a/'\nupstream = 'http://127.0.0.1:1'\n[[routes]]\npath = '/'\nupstream = 'x'\n";
    let problems = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap_err();
    let told: Vec<&str> = problems.iter().map(|problem| problem.severity.as_str()).collect();
    assert_eq!(told, ["error", "warning"], "{}", problems.render(false));
}

#[test]
fn included_files_are_merged_and_keep_their_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    std::fs::create_dir(folder.path().join("routes")).expect("a folder");
    let main = folder.path().join("gateway.toml");
    write("gateway.toml", "include = [\"routes/*.toml\", \"gateway.toml\"]\n[upstreams.a]\nendpoints = [\"b:1\"]\n");
    write("routes/2.toml", "[[routes]]\npath = \"/2\"\nupstream = \"a\"\n");
    write("routes/1.toml", "[[routes]]\npath = \"/1\"\nupstream = \"c\"\n[upstreams.c]\nendpoints = [\"d:1\"]\n");
    write("routes/.hidden.toml", "nonsense");
    let loaded = load(&main, Purpose::Run).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = loaded.config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["/1", "/2"]);
    assert_eq!(loaded.files.paths.len(), 3 + 2, "and the patterns, which may name others later");

    write(
        "routes/2.toml",
        "include = []\n[[routes]]\npath = \"/2\"\nupstream = \"x\"\n[upstreams.a]\nendpoints = [\"e:1\"]\n",
    );
    write("routes/3.toml", "[upstreams.g]\nendpoints = [\"h\"]\n");
    let Err(LoadError::Invalid(problems)) = load(&main, Purpose::Run) else { panic!("mistakes") };
    let name = |problem: &Problem| problem.file.file_name().expect("a name").to_string_lossy().into_owned();
    let found: Vec<_> =
        problems.iter().map(|p| (name(p), p.line, p.message.split(" at ").next().unwrap_or("").to_owned())).collect();
    let expected = [
        ("2.toml", 1, "an included file includes no others"),
        ("2.toml", 4, "unknown upstream \"x\""),
        ("2.toml", 5, "\"a\" is already written"),
        ("3.toml", 2, "\"h\" is not a host and port: the port is missing"),
    ];
    assert_eq!(found, expected.map(|(file, line, text)| (file.to_owned(), line, text.to_owned())), "{problems}");

    write("gateway.toml", "include = [\"none.toml\", \"none/*.toml\", \"routes\"]\n");
    let Err(LoadError::Invalid(problems)) = load(&main, Purpose::Run) else { panic!("a missing file") };
    assert_eq!(messages(&problems, Severity::Error).len(), 2, "{problems}");
    assert_eq!(messages(&problems, Severity::Warning)[0], "\"none/*.toml\" matches no file");
}

#[test]
fn included_files_bring_policies_and_name_those_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let main = folder.path().join("gateway.toml");
    let route = "[[routes]]\npath = \"/1\"\nupstream = \"http://a:1\"\npolicies = [\"slow\", \"patient\"]\n";
    write("gateway.toml", "include = [\"*.part.toml\"]\n[policies.slow]\ntimeout = \"50s\"\n");
    write("1.part.toml", route);
    write("2.part.toml", "[policies.patient]\nidle_timeout = \"70s\"\n");
    let loaded = load(&main, Purpose::Run).unwrap_or_else(|error| panic!("{error}"));
    let route = &loaded.config.routes[0];
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    assert_eq!((seconds(route.timeout), seconds(route.idle_timeout)), (Some(50), Some(70)));

    write("2.part.toml", "[policies.slow]\ntimeout = \"70s\"\n");
    let Err(LoadError::Invalid(problems)) = load(&main, Purpose::Run) else {
        panic!("written twice, and one is missing")
    };
    let told = messages(&problems, Severity::Error);
    assert!(told.iter().any(|it| it.starts_with("\"slow\" is already written at")), "{told:?}");
    assert!(told.contains(&"unknown policy \"patient\""), "{told:?}");
}

#[test]
fn an_included_file_changes_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let main = folder.path().join("gateway.toml");
    write("gateway.toml", "include = [\"a.toml\"]\n[[routes]]\npath = \"/1\"\nupstream = \"http://a:1\"\n");
    write(
        "a.toml",
        "[identity.providers.m]\nkind = \"mtls\"\n[rate_limits.l]\nrate = \"1/s\"\nburst = 1\nkey = \"route\"\n",
    );
    assert_eq!(load(&main, Purpose::Run).unwrap_or_else(|error| panic!("{error}")).config.providers.len(), 1);
    write(
        "a.toml",
        "[server]\nworkers = 3\n[defaults.route]\ntimeout = \"1s\"\n[admin]\naddress = \"\"\n\
         [telemetry.access_log]\noutput = \"off\"\n[identity]\nstrip_headers = []\n",
    );
    let Err(LoadError::Invalid(problems)) = load(&main, Purpose::Run) else { panic!("mistakes") };
    let found: Vec<_> = problems.iter().map(|it| (it.line, it.message.as_str())).collect();
    let holds = |key: &str| format!("{key:?} holds for every file, and is written in the first one");
    let expected =
        [1, 3, 5, 7, 10].into_iter().zip(["server", "defaults", "admin", "telemetry", "strip_headers"].map(holds));
    let expected: Vec<_> = expected.collect();
    assert_eq!(found, expected.iter().map(|(line, text)| (*line, text.as_str())).collect::<Vec<_>>(), "{problems}");
    assert!(problems.iter().all(|it| it.file.ends_with("a.toml")), "{problems}");
}

#[test]
fn a_file_that_is_no_text_is_a_problem_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, b"[server]\nworkers = \xff\n").expect("written");
    let Err(LoadError::Invalid(problems)) = load(&path, Purpose::Check) else { panic!("no UTF-8") };
    let first = problems.iter().next().expect("one");
    assert_eq!((first.line, first.column, first.message.as_str()), (2, 11, "the file is not UTF-8"));
    assert!(matches!(load(&folder.path().join("none"), Purpose::Check), Err(LoadError::Unreadable { .. })));
}

#[test]
fn an_upstream_knows_the_most_critical_of_what_it_is_asked_for() {
    use gateway::algorithms::criticality::Criticality::{Critical, Low, Normal};
    let config = load_ok(
        "[upstreams]\nfirst.endpoints = ['a:1']\nshadow.endpoints = ['b:1']\nstand_in.endpoints = ['c:1']\n\
         other.endpoints = ['d:1']\nboth.endpoints = ['e:1']\n\
         [[routes]]\npath = '/pay'\nupstream = 'first'\ncriticality = 'critical'\n\
         mirror = { upstream = 'shadow', fraction = 0.5 }\nfallback = { upstream = 'stand_in' }\n\
         [[routes]]\npath = '/a'\nupstream = 'other'\nmirror = { upstream = 'both', fraction = 0.5 }\n\
         [[routes]]\npath = '/b'\nupstream = 'both'\n\
         [[routes]]\npath = '/c'\nupstream = 'stand_in'\ncriticality = 'low'\n",
    );
    let highest = |name: &str| {
        let upstream = config.upstreams.iter().find(|upstream| &*upstream.name == name).expect("an upstream");
        upstream.concurrency.highest
    };
    let known = ["first", "shadow", "stand_in", "other", "both"].map(highest);
    assert_eq!(known, [Critical, Low, Critical, Normal, Normal], "a copy is low, and what stands in gets the request");
}
