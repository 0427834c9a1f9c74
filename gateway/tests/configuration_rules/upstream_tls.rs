//! TLS to upstreams.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gateway::config::settings::upstream_tls::{Trust, UpstreamTls};
use gateway::config::{Purpose, load_text_with};

use super::{NoEnvironment, check, check_upstream, warnings};

/// A certificate that signs itself, and its key, in files that only their owner reads.
fn written(folder: &Path, name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let path = |extension: &str| folder.join(format!("{name}.{extension}")).display().to_string();
    let (cert, key) = (path("pem"), path("key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    (cert, key)
}

/// How the first upstream is secured.
fn tls(text: &str) -> Option<UpstreamTls> {
    let loaded = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &NoEnvironment);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    loaded.config.upstreams[0].tls.as_deref().cloned()
}

fn name(tls: &UpstreamTls) -> Option<String> {
    tls.name.as_ref().map(|name| name.to_str().into_owned())
}

#[test]
fn mistakes_are_named_with_their_places() {
    check_upstream("tls = { cert = \"Cargo.toml\" }", &["3:7: `cert` and `key` belong together"]);
    check_upstream(
        "tls = { ca = \"none.pem\" }",
        &["3:14: cannot read the file \"none.pem\": No such file or directory"],
    );
    check_upstream("tls = { ca = \"Cargo.toml\" }", &["3:14: \"Cargo.toml\": it holds no certificate in PEM"]);
    check_upstream(
        "tls = { sni = \"*.a.test\" }",
        &["3:15: \"*.a.test\" is not a host name or an IP address: a star stands for no name here"],
    );
    check_upstream(
        "tls = { sni = \"a.test:443\" }",
        &["3:15: \"a.test:443\" is not a host name or an IP address: it is written without its port"],
    );
    let unnamed = "[upstreams.a]\nendpoints = [\"b:1\", { address = \"b.0xff:1\" }]\ntls = { insecure = true }";
    check(unnamed, &["2:33: no certificate can be for \"b.0xff\""]);
    check(&unnamed.replace("insecure = true", "insecure = true, sni = 'b'"), &[]);
    check(
        "[upstreams.a]\ndiscovery = { dns = 'b.0xff:1' }\ntls = { insecure = true }",
        &["2:21: no certificate can be for \"b.0xff\""],
    );
    let both =
        "[[routes]]\npath = \"/a\"\nupstream = \"http://b:443\"\n[[routes]]\npath = \"/b\"\nupstream = \"https://b\"";
    check(both, &["6:12: \"b:443\" is written with http:// and with https://"]);
}

#[test]
fn a_pair_that_does_not_fit_is_refused_and_a_key_that_all_can_read_is_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = written(folder.path(), "a.test");
    let (_, others) = written(folder.path(), "b.test");
    let keys = |key: &str| format!("tls = {{ ca = '{cert}', cert = '{cert}', key = '{key}' }}");
    let said = format!("\"{others}\": it is not the key of the certificate");
    let column = keys("").find("key = ''").unwrap() + "key = ''".len();
    check_upstream(&keys(&others), &[&format!("3:{}: {said}", column - 1)]);
    let text =
        format!("[upstreams.a]\nendpoints = ['127.0.0.1:1']\n{}\n[[routes]]\npath = '/'\nupstream = 'a'", keys(&key));
    assert_eq!(warnings(&text), [""; 0]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = warnings(&text);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("a.test.key\" can be read by everybody"), "{told:?}");
}

#[test]
fn insecure_is_loud_wherever_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, _) = written(folder.path(), "a.test");
    let loud = "these endpoints need not prove who they are: whoever is on the way reads and changes everything";
    let route = "[[routes]]\npath = '/'\nupstream = 'a'";
    let own = format!("[upstreams.a]\nendpoints = ['b:1']\ntls = {{ insecure = true, ca = '{ca}' }}\n{route}");
    let told = warnings(&own);
    assert!(told[0].starts_with(&format!("3:20: {loud}")), "{told:?}");
    assert!(told[1].contains("nobody has to prove anything (insecure), so this decides nothing"), "{told:?}");
    let shared = "[defaults.upstream]\ntls = { insecure = true }\n";
    for upstream in [
        "[upstreams.a]\nendpoints = ['b:1']\n[[routes]]\npath = '/'\nupstream = 'a'",
        "[[routes]]\npath = '/'\nupstream = 'https://b'",
    ] {
        let told = warnings(&format!("{shared}{upstream}"));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("2:20: {loud}")), "{told:?}");
    }
}

#[test]
fn a_public_service_that_is_asked_for_another_host_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, _) = written(folder.path(), "a.test");
    let shared = format!("[defaults.upstream]\ntls = {{ ca = '{ca}' }}\n[[routes]]\npath = '/'\n");
    let told = warnings(&format!("{shared}upstream = 'https://api.example.com'"));
    let why = "\"api.example.com\" is sent the `Host` that the client asked for, which is another name";
    let help = "write host = \"api.example.com\", or host = \"client\" where that is meant";
    assert_eq!(told, [format!("5:12: {why} ({help})")]);
    for fine in [
        "upstream = 'https://api.example.com'\nhost = 'client'",
        "upstream = 'https://api.example.com'\nhost = 'upstream'",
        "upstream = 'https://api.example.com'\nhosts = ['API.example.com']",
        "upstream = 'https://api.example.com'\nhosts = ['*.example.com']",
        "upstream = 'https://orders.internal'",
    ] {
        assert_eq!(warnings(&format!("{shared}{fine}")), [""; 0], "{fine}");
    }
}

#[test]
fn whom_the_gateway_believes_and_what_it_asks_for_is_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, _) = written(folder.path(), "a.test");
    let upstream = |endpoints: &str, keys: &str| format!("[upstreams.a]\n{endpoints}\n{keys}");
    let of = |endpoints: &str, keys: &str| tls(&upstream(endpoints, keys));
    let endpoints = "endpoints = ['b.test:1']";
    assert!(of(endpoints, "").is_none());
    let own = of(endpoints, &format!("tls = {{ ca = '{ca}' }}")).unwrap();
    assert!(matches!(&own.trust, Trust::Own(roots) if roots.len() == 1));
    assert_eq!(name(&own), None, "each endpoint has its own");
    assert!(matches!(of(endpoints, "tls = {}").unwrap().trust, Trust::System(_)));
    let named = of(endpoints, "tls = { insecure = true, sni = 'B.Test.' }").unwrap();
    assert_eq!((named.is_insecure(), name(&named).as_deref()), (true, Some("b.test")));
    let found = of("discovery = { dns = 'b.test:1' }", "tls = { insecure = true }").unwrap();
    assert_eq!(name(&found).as_deref(), Some("b.test"), "not the addresses that are found");
    let url = tls(&format!(
        "[defaults.upstream]\ntls = {{ ca = '{ca}' }}\n[[routes]]\npath = '/'\nupstream = 'https://b.test'"
    ));
    assert!(matches!(url.unwrap().trust, Trust::Own(_)));
    let url = tls(&format!(
        "[defaults.upstream]\ntls = {{ ca = '{ca}' }}\n[[routes]]\npath = '/'\nupstream = 'http://b.test'"
    ));
    assert!(url.is_none(), "a URL says itself whether TLS is spoken");
}
