//! Routes for some listeners alone.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    IsCa, KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
};

use super::{check, errors, warnings};

/// Two listeners on lines 1 to 6, and what follows.
fn with(more: &str) -> String {
    let listener =
        |name: &str, port: u16| format!("[[listeners]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\n");
    format!("{}{}{more}", listener("in", 81), listener("out", 82))
}

/// A route on `/` with these keys: four lines.
fn route(keys: &str) -> String {
    format!("[[routes]]\npath = \"/\"\nupstream = \"http://a\"\n{keys}\n")
}

#[test]
fn a_route_names_listeners_that_there_are() {
    check(&with(&route("listeners = [\"in\", \"out\"]")), &[]);
    check(&with(&route("listeners = [\"inn\"]")), &["10:14: unknown listener \"inn\""]);
    check(&route("listeners = [\"in\"]"), &["4:14: unknown listener \"in\""]);
    check(&with(&route("listeners = [\"in\", \"in\"]")), &["10:20: this listener is named twice"]);
    check(&with("").replace("\"out\"", "\"in\""), &["5:8: another listener is called \"in\" already"]);
    let gathering = "[[aggregates]]\npath = \"/d\"\nparts = [{ name = \"a\", upstream = \"a\", path = \"/\" }]\n\
                     listeners = [\"none\"]\n[upstreams.a]\nendpoints = [\"b:1\"]\n";
    check(&with(gathering), &["10:14: unknown listener \"none\""]);
}

#[test]
fn the_same_match_on_other_listeners_is_another_one() {
    let both = |one: &str, other: &str| errors(&with(&(route(&format!("name = \"a\"\n{one}")) + &route(other))));
    assert!(both("listeners = [\"in\"]", "listeners = [\"out\"]").is_empty());
    assert!(both("listeners = [\"in\"]", "").is_empty(), "the one for a listener is the more specific");
    let told = both("listeners = [\"in\", \"out\"]", "listeners = [\"out\"]");
    assert!(told.len() == 1 && told[0].contains("matches the same requests"), "{told:?}");
}

#[test]
fn what_routes_share_holds_for_no_aggregate() {
    let text = "[defaults.route]\nlisteners = [\"in\"]\n[upstreams.u]\nendpoints = [\"b:1\"]\n[[aggregates]]\npath = \"/d\"\n\
                parts = [{ name = \"a\", upstream = \"u\", path = \"/\" }]\n";
    let expected = "\"listeners\" of [defaults.route] does not hold for an aggregate (write it there too)";
    let told = warnings(&with(text));
    assert!(told.iter().any(|it| it.ends_with(expected)), "{told:?}");
    assert!(!warnings(&with(&format!("{text}listeners = [\"in\"]\n"))).iter().any(|it| it.ends_with(expected)));
}

#[test]
fn what_was_taken_back_is_said_by_who_signs_and_told_where_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file);
    let issuer = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let list = |issuer: &CertifiedIssuer<'static, KeyPair>, file: &str, until: i32| {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(at(file), params.signed_by(issuer).unwrap().pem().unwrap()).unwrap();
    };
    let (ours, theirs) = (issuer("ours"), issuer("theirs"));
    std::fs::write(at("ca.pem"), ours.pem()).unwrap();
    list(&ours, "good.pem", 2050);
    list(&ours, "over.pem", 2021);
    list(&theirs, "theirs.pem", 2050);
    list(&issuer("ours"), "forged.pem", 2050);
    std::fs::write(at("empty.pem"), "").unwrap();
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    std::fs::write(at("a.pem"), made.cert.pem()).unwrap();
    std::fs::write(at("a.key"), made.signing_key.serialize_pem()).unwrap();
    let text = |auth: &str, lists: &[&str]| {
        let path = |file: &str| format!("'{}'", at(file).display());
        let lists: Vec<String> = lists.iter().map(|file| path(file)).collect();
        format!(
            "[[listeners]]\naddress = '127.0.0.1:8443'\n[listeners.tls]\ncert = {}\nkey = {}\nclient_ca = {}\n\
             client_auth = '{auth}'\nclient_crl = [{}]\n",
            path("a.pem"),
            path("a.key"),
            path("ca.pem"),
            lists.join(", ")
        )
    };
    let told = |auth: &str, lists: &[&str]| {
        let all = warnings(&text(auth, lists)).into_iter().filter(|warning| warning.starts_with("8:"));
        all.collect::<Vec<_>>().join("\n")
    };
    for (lists, why) in [
        (&["empty.pem"][..], "it holds no revocation list (X509 CRL)"),
        (&["a.pem"], "it holds no revocation list (X509 CRL)"),
        (&["forged.pem"], "somebody else has signed it in the name of CN=ours"),
        (&["good.pem", "none.pem"], "No such file or directory"),
    ] {
        let said = errors(&text("required", lists)).join("\n");
        assert!(said.contains(why), "{lists:?}: {said}");
    }
    assert_eq!(errors(&text("required", &["good.pem"])), [""; 0]);
    assert_eq!(told("required", &["good.pem"]), "");
    let over = told("required", &["over.pem"]);
    assert!(over.contains("has ended (") && over.contains("no client is let in"), "{over}");
    let unknown = told("optional", &["good.pem", "theirs.pem"]);
    assert!(unknown.contains("is the list of CN=theirs, whom `client_ca` does not have"), "{unknown}");
    let missing = told("required", &["theirs.pem"]);
    assert!(missing.contains("there is no list of CN=ours: no client is let in"), "{missing}");
    let unasked = told("none", &["good.pem"]);
    assert!(unasked.contains("no client is asked for a certificate, so this decides nothing"), "{unasked}");
}

#[test]
fn a_route_for_some_listeners_hides_what_no_other_route_serves() {
    let on = |path: &str, keys: &str| {
        route(&format!("name = \"{}\"\n{keys}", path.replace(['/', '{', '*', '}'], "x")))
            .replace("\"/\"", &format!("\"{path}\""))
    };
    let told = |routes: &[String]| {
        let told = warnings(&with(&routes.concat()));
        told.into_iter().filter(|told| told.contains("hides this route, and not what is behind it")).collect::<Vec<_>>()
    };
    let hidden = || on("/internal/{*rest}", "listeners = [\"in\"]");
    let all = || on("/{*rest}", "");
    let expected = "7:1: on the listener out the route at gateway.toml:12 serves these requests: `listeners` hides this \
                    route, and not what is behind it (write `listeners` there too, or in [defaults.route] for all routes \
                    that have none)";
    assert_eq!(told(&[hidden(), all()]), [expected]);
    assert_eq!(told(&[all(), hidden()]).len(), 1, "in any order");
    assert_eq!(told(&[hidden(), on("/{*rest}", "methods = [\"GET\"]")]).len(), 1, "reads are served");
    for (routes, why) in [
        (vec![hidden()], "there is no other"),
        (vec![hidden(), on("/{*rest}", "listeners = [\"out\"]")], "that one says where it is"),
        (vec!["[defaults.route]\nlisteners = [\"out\"]\n".to_owned(), hidden(), all()], "so do all"),
        (vec![hidden(), on("/other/{*rest}", "")], "that one serves something else"),
        (vec![hidden(), on("/{*rest}", "headers = { x-a = \"*\" }")], "some of its requests alone"),
        (vec![on("/internal/{*rest}", "listeners = [\"in\", \"out\"]"), all()], "it is there on each"),
        (
            vec![hidden(), all(), on("/internal/{*rest}", "listeners = [\"out\"]").replace("\"xinternal", "\"y")],
            "closed there",
        ),
        (vec![hidden(), all(), on("/internal/{*rest}", "").replace("\"xinternal", "\"y")], "it is meant to be served"),
    ] {
        assert_eq!(told(&routes), [""; 0], "{why}");
    }
}
