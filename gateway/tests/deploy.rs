//! What is deployed with: manifests hold by Kubernetes' own types, and configurations by the gateway's.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn gateway(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(arguments)
        .env("GATEWAY_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")
        .env("GATEWAY_REDIS_PASSWORD", "secret")
        .output()
        .unwrap()
}

/// A document goes through the type, and comes out with everything that it had: a name that the type does not know is
/// lost.
fn holds<T: DeserializeOwned + Serialize>(document: &Value) -> Result<(), String> {
    let typed: T = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    let back = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    lost(document, &back, "")
}

fn lost(before: &Value, after: &Value, at: &str) -> Result<(), String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().try_for_each(|(name, value)| {
            let at = format!("{at}.{name}");
            lost(value, after.get(name).ok_or(format!("{at} is not known"))?, &at)
        }),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => before
            .iter()
            .zip(after)
            .enumerate()
            .try_for_each(|(i, (one, other))| lost(one, other, &format!("{at}[{i}]"))),
        _ if before == after => Ok(()),
        _ => Err(format!("{at}: {before} became {after}")),
    }
}

fn checked(document: &Value) -> Result<(), String> {
    let kind = (document["apiVersion"].as_str().unwrap_or_default(), document["kind"].as_str().unwrap_or_default());
    match kind {
        ("apps/v1", "Deployment") => holds::<Deployment>(document),
        ("v1", "Service") => holds::<Service>(document),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => holds::<HorizontalPodAutoscaler>(document),
        ("policy/v1", "PodDisruptionBudget") => holds::<PodDisruptionBudget>(document),
        ("networking.k8s.io/v1", "NetworkPolicy") => holds::<NetworkPolicy>(document),
        (version, kind) => Err(format!("no type for {version} {kind}")),
    }
}

/// What the kustomization names, every document of it.
fn manifests() -> Vec<(String, Value)> {
    let kustomization: Value = serde_saphyr::from_str(&read("kubernetes/kustomization.yaml")).unwrap();
    let files = kustomization["resources"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
    files
        .flat_map(|file| {
            let documents: Vec<Value> = serde_saphyr::from_multiple(&read(&format!("kubernetes/{file}"))).unwrap();
            documents.into_iter().map(|document| (file.to_owned(), document)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn manifests_are_what_kubernetes_takes() {
    let manifests = manifests();
    assert!(manifests.len() >= 8, "{}", manifests.len());
    for (file, document) in &manifests {
        checked(document).unwrap_or_else(|why| panic!("{file}, {}: {why}", document["kind"]));
    }
    let mut written = std::fs::read_dir(deploy("kubernetes")).unwrap().map(|entry| entry.unwrap().file_name());
    let named = |name: &str| name == "kustomization.yaml" || manifests.iter().any(|(file, _)| file == name);
    let stray = written.find(|name| name.to_str().is_some_and(|name| name.ends_with(".yaml") && !named(name)));
    assert_eq!(stray, None, "is in no kustomization");
}

#[test]
fn a_misspelt_manifest_is_found() {
    let of = |kind: &str| manifests().into_iter().find(|(_, one)| one["kind"] == kind).unwrap().1;
    let mut deployment = of("Deployment");
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = Value::Object(serde_json::Map::new());
    assert_eq!(checked(&deployment).unwrap_err(), ".spec.template.spec.containers[0].livenessprobe is not known");
    let mut service = of("Service");
    service["spec"]["ports"][0]["port"] = Value::from("eighty");
    assert!(checked(&service).is_err());
}

/// Selectors, ports and names in one manifest are those of another, and of the configuration.
#[test]
fn manifests_fit_together() {
    let manifests = manifests();
    let all = |kind: &'static str| manifests.iter().map(|(_, one)| one).filter(move |one| one["kind"] == kind);
    let deployments: Vec<&Value> = all("Deployment").collect();
    let labels = |one: &Value| one["spec"]["template"]["metadata"]["labels"].clone();
    for service in all("Service") {
        let selected = deployments.iter().find(|one| labels(one) == service["spec"]["selector"]);
        let ports = &selected.unwrap_or_else(|| panic!("{service} selects nothing"))["spec"]["template"]["spec"];
        let ports = ports["containers"][0]["ports"].as_array().unwrap();
        let wanted = &service["spec"]["ports"][0]["targetPort"];
        assert!(ports.iter().any(|port| &port["name"] == wanted), "{wanted}");
    }
    for budget in all("PodDisruptionBudget") {
        assert!(deployments.iter().any(|one| labels(one) == budget["spec"]["selector"]["matchLabels"]));
    }
    for policy in all("NetworkPolicy") {
        assert!(deployments.iter().any(|one| labels(one) == policy["spec"]["podSelector"]["matchLabels"]));
    }
    for scaler in all("HorizontalPodAutoscaler") {
        let name = &scaler["spec"]["scaleTargetRef"]["name"];
        assert!(deployments.iter().any(|one| &one["metadata"]["name"] == name));
    }
    let gateway = deployments.iter().find(|one| one["metadata"]["name"] == "portcullis").unwrap();
    let settings: toml::Table = read("kubernetes/gateway.toml").parse().unwrap();
    let pod = &gateway["spec"]["template"]["spec"];
    for (name, address) in [("http", &settings["listeners"][0]["address"]), ("admin", &settings["admin"]["address"])] {
        let port = pod["containers"][0]["ports"].as_array().unwrap().iter().find(|port| port["name"] == name).unwrap();
        let ends = format!(":{}", port["containerPort"]);
        assert!(address.as_str().unwrap().ends_with(&ends), "{name}: {address}, {ends}");
    }
    let seconds = |key: &str| settings["server"][key].as_str().unwrap().trim_end_matches('s').parse::<u64>().unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(seconds("drain_delay") + seconds("drain_timeout") < grace, "a drain is not killed before its end");
    let bytes = |text: &str| {
        let unit = |unit: &str, bytes: u64| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * bytes);
        unit("Mi", 1 << 20).or(unit("Gi", 1 << 30)).unwrap_or_else(|| panic!("{text}"))
    };
    let limit = bytes(pod["containers"][0]["resources"]["limits"]["memory"].as_str().unwrap());
    let guard = settings["server"].get("shed_above_rss").expect("it sheds before its limit ends it");
    assert!(bytes(guard.as_str().unwrap().trim_end_matches('B')) < limit, "{guard} is no less than {limit} bytes");
}

/// The server that gateways share is a process of its own, which ends when it is told to, and forgets nothing for want
/// of room: gateways would not notice.
#[test]
fn the_deployed_redis_can_be_ended_and_forgets_nothing() {
    let manifests = manifests();
    let is_redis = |one: &&Value| one["kind"] == "Deployment" && one["metadata"]["name"] == "portcullis-redis";
    let redis = manifests.iter().map(|(_, one)| one).find(is_redis).unwrap();
    let container = &redis["spec"]["template"]["spec"]["containers"][0];
    let words: Vec<&str> = [&container["command"], &container["args"]]
        .into_iter()
        .flat_map(|words| words.as_array().unwrap().iter().map(|word| word.as_str().unwrap()))
        .collect();
    let [shell, flag, script] = words[..] else { panic!("{words:?}") };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    // Its own port may be somebody's here.
    let here = format!("redis-server - --port 0 --unixsocket {}", socket.display());
    assert_eq!(script.matches("redis-server -").count(), 1, "{script}");
    let mut command = Command::new(shell);
    command.args([flag, &script.replace("redis-server -", &here)]).env("PASSWORD", "s3cret");
    let mut child = command.current_dir(folder.path()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let ask = |line: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).ok()?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).ok()?;
        stream.write_all(format!("AUTH s3cret\r\n{line}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let mut answer = None;
    for _ in 0..2_000 {
        answer = ask("CONFIG GET maxmemory-policy");
        if answer.is_some() {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    // The shell's place is the server's: as the first process of a container a shell would pass on no signal.
    let name = std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let ended = child.wait().unwrap();
    let answer = answer.expect("redis-server is installed: `cargo xtask test` does that");
    assert!(answer.starts_with("+OK") && answer.contains("noeviction"), "{answer}");
    assert_eq!((name.trim(), ended.code()), ("redis-server", Some(0)));
}

/// Whoever asks for `/metrics` has to bring the token, which annotations of a pod cannot say.
#[test]
fn no_annotation_asks_for_a_scrape_that_is_refused() {
    let scraped = |one: &Value| one["spec"]["template"]["metadata"]["annotations"]["prometheus.io/scrape"] == "true";
    let settings: toml::Table = read("kubernetes/gateway.toml").parse().unwrap();
    let is_guarded = settings["admin"].get("token_env").is_some();
    assert!(!(is_guarded && manifests().iter().any(|(_, one)| scraped(one))));
}

#[test]
fn the_deployed_configuration_holds() {
    let checked = gateway(&["check", deploy("kubernetes/gateway.toml").to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = gateway(&["completions", shell]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.ends_with('\n'), "{shell}");
        for command in ["run", "check", "explain", "verify-jws"] {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    assert!(gateway(&["man", "--out", out.to_str().unwrap()]).status.success());
    for page in ["gateway", "gateway-run", "gateway-check", "gateway-explain", "gateway-man"] {
        let text = std::fs::read_to_string(out.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    let shown = String::from_utf8(gateway(&["man"]).stdout).unwrap();
    assert!(shown.contains(".TH gateway 1"), "{shown}");
    let nowhere = gateway(&["man", "--out", "/dev/null/man1"]);
    assert_eq!(nowhere.status.code(), Some(3), "{}", String::from_utf8_lossy(&nowhere.stderr));
}

#[test]
fn the_version_comes_first() {
    let told = String::from_utf8(gateway(&["--version"]).stdout).unwrap();
    assert!(told.starts_with(concat!("gateway ", env!("CARGO_PKG_VERSION"))), "{told}");
}

/// The unit starts the commands that there are, and waits longer than a drain takes.
#[test]
fn the_unit_starts_what_there_is() {
    let unit = read("systemd/portcullis.service");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key}"));
    assert!(value("ExecStart=").starts_with("/usr/local/bin/gateway run --config /etc/portcullis/"));
    assert!(value("ExecStartPre=").starts_with("/usr/local/bin/gateway check /etc/portcullis/"));
    let (before, service) = unit.split_once("\n[Service]\n").unwrap();
    assert!(before.contains("\nStartLimitIntervalSec=0\n"), "it is tried for as long as it takes; a key of [Unit]");
    assert!(!service.contains("StartLimit"), "elsewhere it is passed over");
    let production: toml::Table =
        std::fs::read_to_string(deploy("../examples/production.toml")).unwrap().parse().unwrap();
    let seconds = |text: &str| text.trim_end_matches('s').parse::<u64>().unwrap();
    let drain = ["drain_delay", "drain_timeout"].map(|key| seconds(production["server"][key].as_str().unwrap()));
    assert!(seconds(value("TimeoutStopSec=")) > drain.iter().sum(), "a drain is not killed before its end");
}
