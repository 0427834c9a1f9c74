//! The commands as a user runs them: what they print, and their exit codes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn gateway(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.current_dir(folder).args(arguments).env_remove("UNSET_TOKEN");
    command.output().expect("the binary runs")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_first_configuration_is_written_and_is_right() {
    let folder = folder();
    let init = gateway(folder.path(), &["init", "--to", "http://127.0.0.1:3000"]);
    assert_eq!((init.status.code(), text(&init.stderr)), (Some(0), ""));
    let told = "gateway.toml: written\nclients connect to http://127.0.0.1:8080, and all goes to http://127.0.0.1:3000\n\
                admin page and metrics: http://127.0.0.1:9901\n\
                next: gateway check gateway.toml, then gateway run --config gateway.toml\n";
    assert_eq!(text(&init.stdout), told);
    let check = gateway(folder.path(), &["check"]);
    assert_eq!(text(&check.stdout), "gateway.toml: ok (1 route, 1 upstream)\n");
    assert_eq!((check.status.code(), text(&check.stderr)), (Some(0), ""));

    let before = std::fs::read_to_string(folder.path().join("gateway.toml")).expect("written");
    let again = gateway(folder.path(), &["init"]);
    assert_eq!(again.status.code(), Some(3));
    assert_eq!(text(&again.stderr), "error: gateway.toml exists already; give another name, or remove it\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("gateway.toml")).expect("still there"), before);
}

#[test]
fn problems_are_shown_with_their_lines() {
    let folder = folder();
    std::fs::write(folder.path().join("a.toml"), "[server]\nworkrs = 1\n").expect("written");
    let check = gateway(folder.path(), &["check", "a.toml"]);
    assert_eq!((check.status.code(), text(&check.stdout)), (Some(1), ""));
    let expected = concat!(
        "a.toml:2:1: error: unknown key \"workrs\" in [server]\n",
        "  |\n",
        "2 | workrs = 1\n",
        "  | ^^^^^^\n",
        "  = help: did you mean \"workers\"?\n",
        "\n",
    );
    // That there are no routes is not said beside an error.
    assert_eq!(text(&check.stderr), format!("{expected}1 problem\n"));

    let check = gateway(folder.path(), &["check", "a.toml", "--json"]);
    let document: Value = serde_json::from_slice(&check.stdout).expect("JSON");
    assert_eq!((check.status.code(), &document["ok"]), (Some(1), &Value::Bool(false)));
    let problem = document["problems"].as_array().expect("problems").last().expect("one").clone();
    let expected = serde_json::json!({
        "severity": "error", "file": "a.toml", "line": 2, "column": 1,
        "message": "unknown key \"workrs\" in [server]", "help": "did you mean \"workers\"?",
    });
    assert_eq!(problem, expected);
}

#[test]
fn a_warning_is_no_failure() {
    let folder = folder();
    let configuration = "[admin]\ntoken_env = \"UNSET_TOKEN\"\n[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n";
    std::fs::write(folder.path().join("a.toml"), configuration).expect("written");
    let check = gateway(folder.path(), &["check", "a.toml"]);
    assert_eq!(check.status.code(), Some(0));
    assert_eq!(text(&check.stdout), "a.toml: ok (1 route, 1 upstream, 1 warning)\n");
    let warning = "a.toml:2:13: warning: the environment variable \"UNSET_TOKEN\" is not set\n";
    assert!(text(&check.stderr).starts_with(warning), "{}", text(&check.stderr));
}

#[test]
fn an_upstream_with_backups_is_told_of() {
    let folder = folder();
    let configuration = "[upstreams.a]\nendpoints = [\"a:1\", { address = \"b:1\", backup = true }]\n\
                         [[routes]]\npath = \"/\"\nupstream = \"a\"\n";
    std::fs::write(folder.path().join("a.toml"), configuration).expect("written");
    let check = gateway(folder.path(), &["check", "a.toml"]);
    assert_eq!(text(&check.stdout), "a.toml: ok (1 route, 1 upstream, 1 of them with backups)\n");
    let explained = gateway(folder.path(), &["explain", "-c", "a.toml", "GET", "http://x/"]);
    let told = text(&explained.stdout);
    assert!(told.contains("a (least_request: a:1, b:1 (backup))"), "{told}");
}

#[test]
fn a_configuration_can_be_checked_where_its_files_are_not() {
    let folder = folder();
    let configuration = "[telemetry.access_log]\noutput = \"nowhere/access.log\"\n\
        [[listeners]]\naddress = \"127.0.0.1:8443\"\n\
        tls = { cert = \"a.pem\", key = \"a.key\", client_ca = \"ca.pem\", client_auth = \"optional\", client_crl = [\"crl.pem\"] }\n\
        [identity.providers.people]\nkind = \"basic\"\nusers_file = \"users\"\n\
        [identity.providers.tokens]\nkind = \"jwt\"\nissuer = \"https://a.test\"\naudiences = [\"a\"]\n\
        algorithms = [\"ES256\"]\njwks = { file = \"keys.json\" }\n\
        [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:1\"\nauth = { providers = [\"people\", \"tokens\"] }\n\
        openapi = \"api.json\"\nproblems = { 5xx = { file = \"sorry.html\" } }\n";
    let file = folder.path().join("a.toml");
    let check = |arguments: &[&str]| gateway(folder.path(), &[&["check", "a.toml"], arguments].concat());
    std::fs::write(&file, configuration).expect("written");
    let missing =
        ["nowhere/access.log", "a.pem", "a.key", "ca.pem", "crl.pem", "users", "keys.json", "api.json", "sorry.html"];
    let strict = check(&[]);
    assert_eq!(strict.status.code(), Some(1));
    let told = |output: &Output, what: &str, name: &str| {
        let is_it = |line: &&str| line.contains(&format!("{what}: ")) && line.contains(&format!("{name:?}"));
        text(&output.stderr).lines().filter(is_it).count()
    };
    for name in missing {
        assert_eq!(told(&strict, "error", name), 1, "{name}: {}", text(&strict.stderr));
    }
    for flag in ["--allow-missing-files", "--no-files"] {
        let lenient = check(&[flag]);
        assert_eq!(lenient.status.code(), Some(0), "{}", text(&lenient.stderr));
        for name in missing {
            assert_eq!(told(&lenient, "warning", name), 1, "{name}: {}", text(&lenient.stderr));
        }
        assert!(text(&lenient.stdout).starts_with("a.toml: ok ("), "{}", text(&lenient.stdout));
    }
    // Everything else is checked, and files that are there.
    std::fs::write(folder.path().join("ca.pem"), "no certificate").expect("written");
    std::fs::write(&file, configuration.replace("kind = \"basic\"", "kind = \"basik\"")).expect("written");
    let wrong = check(&["--allow-missing-files"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!((told(&wrong, "error", "ca.pem"), told(&wrong, "error", "basik")), (1, 1), "{}", text(&wrong.stderr));
}

#[test]
fn a_file_that_cannot_be_read_is_another_matter() {
    let folder = folder();
    for arguments in [&["check", "none.toml"][..], &["check", "."], &["check", "none.toml", "--json"]] {
        assert_eq!(gateway(folder.path(), arguments).status.code(), Some(3), "{arguments:?}");
    }
    let check = gateway(folder.path(), &["check", "none.toml"]);
    assert!(text(&check.stderr).starts_with("error: cannot read none.toml: "), "{}", text(&check.stderr));
    assert_eq!(text(&check.stderr).lines().count(), 1);
    assert!(text(&check.stderr).contains("`gateway init`"), "the remedy");
    assert_eq!(gateway(folder.path(), &["run"]).stderr, gateway(folder.path(), &["check"]).stderr);
    assert_eq!(gateway(folder.path(), &["run", "none.toml"]).stderr, check.stderr, "named as `check` takes it");
}

#[test]
fn a_command_line_that_is_not_understood() {
    let folder = folder();
    let asked = [
        &["chekc"][..],
        &["check", "--jsn"],
        &[],
        &["init", "--to", "127.0.0.1:3000"],
        &["run", "--to", "127.0.0.1:3000"],
        &["run", "--to", "ftp://a"],
        &["run", "--to", "http://a", "--listen", "8080"],
        &["run", "--listen", "127.0.0.1:8080"],
        &["run", "a.toml", "--listen", "127.0.0.1:8080"],
        &["run", "a.toml", "--admin", "127.0.0.1:9901"],
        &["run", "--config", "a.toml", "--listen", "127.0.0.1:8080"],
        &["run", "--config", "a.toml", "--admin", "127.0.0.1:9901"],
        &["run", "a.toml", "--config", "b.toml"],
        &["explain", "GET", "no-slash"],
    ];
    for arguments in asked {
        assert_eq!(gateway(folder.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(!folder.path().join("gateway.toml").exists());
}

#[test]
fn documents_are_printed() {
    let folder = folder();
    let defaults = gateway(folder.path(), &["defaults"]);
    assert_eq!(text(&defaults.stdout), gateway::config::publish::DEFAULTS);
    let schema = gateway(folder.path(), &["schema"]);
    assert_eq!(text(&schema.stdout), gateway::config::publish::json_schema());
    let markdown = gateway(folder.path(), &["schema", "--markdown"]);
    assert_eq!(text(&markdown.stdout), gateway::config::publish::markdown());
}

#[test]
fn explain_says_whom_a_certificate_names() {
    let folder = folder();
    let signed = rcgen::generate_simple_self_signed(["job.test".to_owned()]).expect("a certificate");
    for (file, text) in [
        ("client.pem", signed.cert.pem()),
        ("server.key", signed.signing_key.serialize_pem()),
        (
            "gateway.toml",
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n\
             tls = { cert = \"client.pem\", key = \"server.key\", client_ca = \"client.pem\", client_auth = \"optional\" }\n\
             [identity.providers.jobs]\nkind = \"mtls\"\n\
             [[routes]]\npath = \"/jobs\"\nupstream = \"http://127.0.0.1:9001\"\n\
             auth = { providers = [\"jobs\"], claims = { dns = \"job.test\" } }\n"
                .to_owned(),
        ),
    ] {
        std::fs::write(folder.path().join(file), text).expect("written");
    }
    let explain = |more: &[&str]| gateway(folder.path(), &[&["explain", "GET", "/jobs"], more].concat());
    let granted = explain(&["--cert", "client.pem"]);
    let shown = text(&granted.stdout);
    for line in
        ["identity   granted by jobs", "subject: job.test", "sent: x-auth-subject: job.test", "not tried: whether"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(granted.status.code(), Some(0), "{shown}");
    let missing = explain(&[]);
    assert!(text(&missing.stdout).contains("identity   missing (401)"));
    assert_eq!(missing.status.code(), Some(0), "the question is about the route");
    let bad = explain(&["--cert", "server.key"]);
    assert_eq!(
        (bad.status.code(), text(&bad.stderr)),
        (Some(2), "error: server.key: it holds no certificate in PEM, but a private key\n")
    );
    assert_eq!(explain(&["--cert", "missing.pem"]).status.code(), Some(3), "a file is missing");
}

/// The example that is shown in docs/operating.md.
fn diff(arguments: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/diff");
    gateway(&folder, &[&["diff"][..], arguments].concat())
}

#[test]
fn diff_tells_what_changes_and_what_becomes_of_logged_requests() {
    let told = diff(&["old.toml", "new.toml", "--replay", "access.log"]);
    assert_eq!((told.status.code(), text(&told.stderr)), (Some(1), ""));
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md")).expect("the page");
    let shown =
        page.split("--replay access.log\n").nth(1).and_then(|rest| rest.split("```").next()).expect("shown there");
    assert_eq!(text(&told.stdout), shown, "docs/operating.md shows what is printed");

    let told = diff(&["old.toml", "new.toml", "--replay", "access.log", "--format", "json"]);
    let document: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!((told.status.code(), &document["same"], &document["schema"]), (Some(1), &false.into(), &1.into()));
    assert_eq!(document["changes"][0]["section"], "routes");
    assert_eq!(document["replay"]["requests"], 6);
}

#[test]
fn diff_says_by_its_code_whether_anything_differs() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let route = "[[routes]]\npath = '/a'\nupstream = 'http://127.0.0.1:1'\n";
    write("a.toml", &format!("{route}timeout = '60s'\n"));
    write("b.toml", &format!("# the same\n{route}timeout = '1m'\nretry = {{ attempts = 2 }}\n"));
    write("log", "no record\n");
    let same = gateway(folder.path(), &["diff", "a.toml", "b.toml", "--replay", "log"]);
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(text(&same.stdout).starts_with("both configurations mean the same\n"), "{same:?}");
    assert!(text(&same.stdout).contains("  1 line: no access record\n      line 1: expected"), "{same:?}");

    write("bad.toml", &format!("{route}timeot = '1s'\n"));
    let bad = gateway(folder.path(), &["diff", "a.toml", "bad.toml"]);
    assert_eq!((bad.status.code(), text(&bad.stdout)), (Some(1), ""));
    let neither = gateway(folder.path(), &["diff", "none.toml", "bad.toml"]);
    assert_eq!((neither.status.code(), text(&neither.stdout)), (Some(3), ""));
    assert!(text(&bad.stderr).starts_with("bad.toml:4:1: error: unknown key \"timeot\""), "{bad:?}");
    for arguments in
        [&["a.toml", "none.toml"][..], &["a.toml", "b.toml", "--replay", "none.log"], &["a.toml", ".", "--replay", "."]]
    {
        let absent = gateway(folder.path(), &[&["diff"][..], arguments].concat());
        assert_eq!((absent.status.code(), text(&absent.stdout)), (Some(3), ""), "{arguments:?}");
        assert!(text(&absent.stderr).contains("cannot read"), "{absent:?}");
    }
    assert_eq!(gateway(folder.path(), &["diff", "a.toml"]).status.code(), Some(2));
}

#[test]
fn explain_says_whom_a_route_does_not_let_in() {
    let folder = folder();
    let text_of = "[[routes]]\npath = \"/\"\nanswer = {}\naddresses = { allow = [\"10.0.0.0/8\"] }\n";
    std::fs::write(folder.path().join("a.toml"), text_of).expect("written");
    let asked = |client: &[&str]| gateway(folder.path(), &[&["explain", "-c", "a.toml", "GET", "/"], client].concat());
    assert_eq!(asked(&[]).status.code(), Some(0), "whoever it is");
    assert_eq!(asked(&["--client", "10.1.2.3"]).status.code(), Some(0));
    let denied = asked(&["--client", "192.0.2.1"]);
    assert_eq!(denied.status.code(), Some(1));
    let told = text(&denied.stdout);
    assert!(told.contains("refused    403 forbidden: This address may not use this route."), "{told}");
    assert!(told.contains("origin") && told.contains("only 10.0.0.0/8"), "{told}");
}

/// As people ask who want to know where a URL leads, and as the contract's own configuration is asked about.
#[test]
fn explain_without_a_credential_is_about_the_route() {
    let folder = folder();
    let text_of = "[identity.providers.keys]\nkind = \"api_key\"\nfile = \"keys.toml\"\n[[routes]]\npath = \"/\"\nanswer = {}\n\
                   auth = { providers = [\"keys\"] }\n";
    std::fs::write(folder.path().join("a.toml"), text_of).expect("written");
    let sha256 = "c48a01f49fd0f2cc404bc3cbbc80e91457a3d41bb429a695243de4c61794155c";
    std::fs::write(folder.path().join("keys.toml"), format!("[[keys]]\nsubject = \"one\"\nsha256 = \"{sha256}\"\n"))
        .expect("written");
    let asked = |more: &[&str]| gateway(folder.path(), &[&["explain", "-c", "a.toml", "GET", "/"], more].concat());
    let bare = asked(&[]);
    assert_eq!(bare.status.code(), Some(0), "{bare:?}");
    assert!(text(&bare.stdout).contains("missing (401)"), "{bare:?}");
    assert_eq!(asked(&["-H", "x-api-key: another"]).status.code(), Some(1));
    let page = ["-H", "origin: https://a.example", "-H", "access-control-request-method: PUT"];
    let preflight = gateway(folder.path(), &[&["explain", "-c", "a.toml", "OPTIONS", "/"], &page[..]].concat());
    assert!(text(&preflight.stdout).contains("preflight  is asked for its identity, and browsers show none: 401"));
    assert!(!text(&asked(&page).stdout).contains("preflight "), "a GET is none");
}

#[test]
fn who_asks_for_a_path_where_routes_have_hosts_is_told_how_to_name_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[[routes]]\nname = \"shop\"\nhosts = [\"api.shop.test\"]\npath = \"/orders\"\nupstream = \"http://127.0.0.1:9\"\n";
    std::fs::write(folder.path().join("gateway.toml"), text).expect("written");
    let bare = gateway(folder.path(), &["explain", "GET", "/orders"]);
    let shown = self::text(&bare.stdout);
    assert!(shown.contains("not api.shop.test") && shown.contains("-H 'host: NAME'"), "{shown}");
    for named in [&["http://api.shop.test/orders"][..], &["/orders", "-H", "host: api.shop.test"]] {
        let asked = gateway(folder.path(), &[&["explain", "GET"], named].concat());
        let shown = self::text(&asked.stdout);
        assert!(asked.status.success() && !shown.contains("host: NAME"), "{shown}");
    }
}

#[test]
fn openapi_of_a_listener_leaves_out_what_it_does_not_reach() {
    let folder = folder();
    let config = "[[listeners]]\nname = 'public'\naddress = '127.0.0.1:8080'\n[[listeners]]\nname = 'inside'\n\
                  address = '127.0.0.1:8081'\n[[routes]]\nname = 'ops'\npath = '/ops'\nlisteners = ['inside']\n\
                  answer = { body = '' }\n[[routes]]\npath = '/'\nanswer = { body = '' }\n";
    std::fs::write(folder.path().join("gateway.toml"), config).expect("written");
    let paths = |arguments: &[&str]| {
        let told = gateway(folder.path(), &[&["openapi"], arguments].concat());
        assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
        let document: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let servers = document["servers"].as_array().map_or(0, Vec::len);
        let paths = document["paths"].as_object().expect("paths").keys().cloned().collect::<Vec<_>>();
        (servers, paths.join(" "))
    };
    assert_eq!(paths(&[]), (2, "/ops /".to_owned()));
    assert_eq!(paths(&["--listener", "inside"]), (1, "/ops /".to_owned()));
    assert_eq!(paths(&["--listener", "public"]), (1, "/".to_owned()));
    let wrong = gateway(folder.path(), &["openapi", "--listener", "publik"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(text(&wrong.stderr), "error: no listener is called \"publik\": public, inside\n");
}

#[test]
fn a_result_that_cannot_be_written_is_not_done() {
    let folder = folder();
    std::fs::write(folder.path().join("a.toml"), "[[routes]]\npath = \"/\"\nanswer = {}\n").expect("written");
    for arguments in [
        &["schema"][..],
        &["schema", "--markdown"],
        &["defaults"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["check", "--help"],
        &["check", "a.toml"],
        &["check", "a.toml", "--json"],
        &["diff", "a.toml", "a.toml"],
        &["diff", "a.toml", "a.toml", "--format", "json"],
        &["explain", "--config", "a.toml", "GET", "/"],
        &["explain", "--config", "a.toml", "GET", "/", "--json"],
        &["explain", "--config", "a.toml", "GET", "/none"],
        &["openapi", "--config", "a.toml"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        let output = command.current_dir(folder.path()).args(arguments).stdout(full).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains("error: cannot write to standard output: No space left"), "{arguments:?} {told}");
    }
}

#[test]
fn a_reader_that_goes_away_has_what_it_wanted() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let folder = folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    let output = command.current_dir(folder.path()).arg("schema").stdout(writer).output().expect("the binary runs");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}
