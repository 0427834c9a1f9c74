//! Identity: providers, their keys, and what routes ask for.

use gateway::config::Purpose;

use super::{check, check_route, errors, warnings};

const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// A provider whose further keys begin on line 5.
fn jwt(keys: &str) -> String {
    format!("[identity.providers.a]\nkind = 'jwt'\naudiences = ['x']\nissuer = 'i'\n{keys}\n")
}

fn inline(keys: &str) -> String {
    jwt(&format!("jwks = {{ inline = '{{\"keys\":[{keys}]}}' }}"))
}

#[test]
fn a_provider_needs_its_keys() {
    check(&jwt(""), &["1:1: a jwt provider needs `jwks`"]);
    check(&jwt("algorithms = ['HS256']"), &["5:14: HS algorithms need `secret_env`"]);
    check(&jwt("jwks = {}"), &["5:8: jwks needs one of `url`, `file`, `inline` and `discovery`"]);
    check(
        "[identity.providers.a]\nkind = \"jwtt\"",
        &[
            "2:8: expected one of \"jwt\", \"introspection\", \"api_key\", \"basic\", \"mtls\", \"custom\", found \"jwtt\"",
        ],
    );
    check("[identity.providers.a]\nfile = \"x\"", &["1:1: \"kind\" is missing in [identity.providers.a]"]);
    check(
        "[identity.providers.a]\nkind = \"api_key\"\nfile = \"no-keys.toml\"",
        &["3:8: cannot read the file \"no-keys.toml\": No such file or directory"],
    );
    check(&inline(KEY), &[]);
    check(
        &jwt(
            "jwks = { inline = { keys = [{ kty = 'OKP', crv = 'Ed25519', x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] } }",
        ),
        &[],
    );
}

#[test]
fn h2_h3_keys_that_verify_nothing_or_too_much_are_refused_with_the_configuration() {
    let said = |keys: &str| errors(&inline(keys)).join("\n");
    assert_eq!(said(&format!("{KEY},{KEY}")), "5:19: two keys of the set have the kid \"a\"");
    assert_eq!(said(""), "5:19: the key set is empty");
    let secret = r#"{"kty":"oct","k":"MTIzNDU2NzgxMjM0NTY3ODEyMzQ1Njc4MTIzNDU2NzgxMjM0NTY3OA"}"#;
    assert_eq!(said(&format!("{KEY},{secret}")), "5:19: the key set has secrets beside public keys");
    assert_eq!(said(secret), "5:19: a key set has public keys, and this one has secrets");
    let private = KEY.replace("\"kid\"", "\"d\":\"AA\",\"kid\"");
    assert_eq!(said(&private), "5:19: the key set has the private key \"a\": whoever reads it can sign");
    let weak = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
    let expected = "5:19: the key number 2 of the set cannot be used: it is too weak: RSA needs 2048 bits of a sound generator, a secret the length of the hash";
    assert_eq!(said(&format!("{KEY},{weak}")), expected);
    let other = KEY.replace("\"kid\"", "\"use\":\"enc\",\"kid\"").replace("\"a\"", "\"b\"");
    let told = warnings(&inline(&format!("{KEY},{other}")));
    let said_so = "5:19: the key \"b\" of the set verifies nothing: it is not for verifying";
    assert!(told.iter().any(|warning| warning.starts_with(said_so)), "{told:?}");
    let unfit = format!("{}algorithms = ['RS256']", inline(KEY));
    assert_eq!(errors(&unfit), ["5:19: no key of the set fits an algorithm of `algorithms`: no token would hold"]);
    assert!(said("x").starts_with("5:19: the key set is not JSON"));
}

#[test]
fn headers_and_times_have_bounds() {
    let with = |more: &str| format!("{}{more}", inline(KEY));
    check(&with("leeway = '61s'"), &["6:10: \"61s\" is not between 0s and 1m"]);
    check(&with("max_token_bytes = '10B'"), &["6:19: \"10B\" is not between 256B and 1MiB"]);
    check(
        "[identity]\nclaims = { x-auth-subject = 'name' }",
        &["2:12: this header carries the subject or the scopes already"],
    );
    check(
        "[identity]\nclaims = { x-auth-provider = 'idp' }",
        &["2:12: this header carries the provider's name already"],
    );
    check(
        "[identity]\nprovider_header = 'X-Auth-Subject'",
        &["2:19: provider_header is a header that carries the subject or the scopes already"],
    );
}

#[test]
fn routes_ask_for_providers_that_are_there() {
    check_route("auth = { providers = [\"x\"] }", &["4:23: unknown identity provider \"x\""]);
    check_route("auth = { providers = [] }", &["4:22: the list is empty"]);
    check_route("auth = {}", &["4:8: \"providers\" is missing in [routes.auth]"]);
}

#[test]
fn h10_what_decides_who_is_believed_is_asked_safely() {
    check(
        &jwt("jwks = { url = 'http://idp.test/keys' }"),
        &["5:16: \"http://idp.test/keys\" is neither https nor on this machine"],
    );
    check(&jwt("jwks = { discovery = 'https://idp.test' }"), &[]);
    check(&jwt("jwks = { url = 'http://127.0.0.1:9/keys' }"), &[]);
    check(
        "[identity.providers.o]\nkind = 'introspection'\nurl = 'http://10.0.0.1/'\nclient_id = 'g'\n\
         client_secret_env = 'SECRET'",
        &["3:7: \"http://10.0.0.1/\" is neither https nor on this machine"],
    );
}

#[test]
fn what_holds_once_needs_a_token_that_can_be_told_apart() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    let route = "[[routes]]\npath = '/'\nupstream = 'http://127.0.0.1:1'\n\
                 auth = { providers = ['k'], single_use = true }\n";
    check(
        &format!("{route}[identity.providers.k]\nkind = 'api_key'\nfile = '{keys}'"),
        &["4:23: \"k\" has no tokens with a `jti`, which `single_use` needs"],
    );
}

#[test]
fn a_passport_needs_a_key_that_signs() {
    check(
        "[identity]\npassport = { key = 'Cargo.toml', lifetime = '2m' }",
        &["2:20: \"Cargo.toml\": there is no PRIVATE KEY in it", "2:45: \"2m\" is not between 1s and 1m"],
    );
}

#[test]
fn what_gateways_share_of_tokens_is_in_a_store_that_exists() {
    let with = |more: &str| format!("{}{more}", inline(KEY));
    check(&with("replay_store = 'x'"), &["6:16: unknown store \"x\""]);
    check(&with("revocation = { store = 'x' }"), &["6:24: unknown store \"x\""]);
    check(
        &with("revocation = { store = 'local' }"),
        &["6:24: tokens that were taken back are in no gateway's own memory"],
    );
    check(&with("revocation = {}"), &["6:14: \"store\" is missing in [identity.providers.a.revocation]"]);
    check(
        &with("revocation = { store = 's', on_store_failure = 'local_share' }\n[stores.s]\nurl = 'redis://a:1'"),
        &["6:48: expected one of \"open\", \"closed\", found \"local_share\""],
    );
}

#[test]
fn a_provider_of_certificates_needs_a_listener_that_asks_for_them() {
    let provider = "[identity.providers.a]\nkind = 'mtls'\n";
    let told = warnings(provider);
    let message = "2:8: no listener asks clients for certificates, so nobody can prove anything by one";
    assert!(told.iter().any(|warning| warning.starts_with(message)), "{told:?}");
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("cert", signed.cert.pem()), file("key", signed.signing_key.serialize_pem()));
    for (client_auth, asks) in [("required", true), ("optional", true), ("none", false)] {
        let tls = format!("cert = '{cert}', key = '{key}', client_ca = '{cert}', client_auth = '{client_auth}'");
        let told = warnings(&format!("{provider}\n[[listeners]]\naddress = '127.0.0.1:1'\ntls = {{ {tls} }}\n"));
        assert_eq!(told.iter().any(|warning| warning.starts_with(message)), !asks, "{client_auth}: {told:?}");
    }
}

/// A provider of API keys whose header is on line 4, and what stands before it on line 1.
fn keys_in(before: &str, header: &str) -> String {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    format!("{before}\n[identity.providers.k]\nkind = 'api_key'\nheader = '{header}'\nfile = '{keys}'")
}

#[test]
fn credentials_are_in_a_header_that_gets_to_who_looks_at_them() {
    let identity = "is an identity header, which is taken from every request";
    check(&keys_in("", "x-auth-key"), &[&format!("4:10: \"x-auth-key\" {identity}")]);
    check(&keys_in("[identity]\nstrip_headers = []", "x-auth-key"), &[]);
    check(&keys_in("[identity]\nsubject_header = 'x-who'", "X-Who"), &[&format!("5:10: \"x-who\" {identity}")]);
    let for_proxies = "is for proxies to say, and is taken from every client";
    for header in ["x-gw-key", "x-real-ip", "client-cert"] {
        check(&keys_in("", header), &[&format!("4:10: \"{header}\" {for_proxies}")]);
        check(&keys_in("[server]\ntrusted_proxies = ['10.0.0.0/8']", header), &[]);
    }
    let refused = ["4:10: \"x_api_key\" has an underscore: every request is refused with it"];
    check(&keys_in("", "x_api_key"), &refused);
    let dropped = ["5:10: \"x_api_key\" has an underscore: every request is sent on without it"];
    check(&keys_in("[server]\nunderscores_in_headers = 'drop'", "x_api_key"), &dropped);
    check(&keys_in("[server]\nunderscores_in_headers = 'keep'", "x_api_key"), &[]);
    check(
        &keys_in("", "proxy-authorization"),
        &["4:10: \"proxy-authorization\" speaks of one connection, and ends at the gateway"],
    );
    let stripped = format!("[identity]\nstrip_headers = ['authorization']\n{}", inline(KEY));
    check(&stripped, &[&format!("4:8: \"authorization\" {identity}")]);
    let told = "[[routes]]\npath = '/'\nupstream = 'http://127.0.0.1:1'\n\
                forward_auth = { upstream = 'http://127.0.0.1:2', response_headers = ['x-api-key'] }";
    check(&keys_in(told, "x-api-key"), &[&format!("7:10: \"x-api-key\" {identity}")]);
}

#[test]
fn what_takes_a_header_is_told_with_what_to_do() {
    let problems = gateway::config::load_text(&keys_in("", "x-auth-key"), "gateway.toml".as_ref(), Purpose::Check);
    let help = problems.unwrap_err().iter().find_map(|problem| problem.help.clone());
    assert_eq!(help.as_deref(), Some("`strip_headers` of [identity] names \"x-auth-*\": use another header"));
}

#[test]
fn what_is_told_of_an_identity_frames_no_message_and_has_its_own_header() {
    let framing = "the gateway sets it; an edit could change where a message ends";
    check(
        "[identity]\nsubject_header = 'Content-Length'\nscopes_header = 'connection'\n\
         claims = { transfer-encoding = 'te', host = 'h', x-tenant = 'tenant' }",
        &[
            &format!("2:18: \"Content-Length\" is not a header's name: {framing}"),
            &format!("3:17: \"connection\" is not a header's name: {framing}"),
            &format!("4:12: \"transfer-encoding\" is not a header's name: {framing}"),
            "4:38: \"host\" is not a header's name: the gateway sets it, see the route's key `host`",
        ],
    );
    check(
        "[identity]\nclaims = { x-tenant = 'tenant', X-Tenant = 'org' }",
        &["2:33: this header carries another claim already"],
    );
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let passport = |header: &str| {
        format!("[identity]\nclaims = {{ x-tenant = 'tenant' }}\npassport = {{ key = '{}'{header} }}", key.display())
    };
    check(&passport(""), &[]);
    let message = "the passport's header carries the subject, the scopes or a claim already";
    for header in ["x-auth-subject", "X-Auth-Scopes", "x-tenant"] {
        let told = errors(&passport(&format!(", header = '{header}'")));
        assert!(told.len() == 1 && told[0].ends_with(message), "{header}: {told:?}");
    }
}

/// Warnings of a route with these providers, whose list begins on line 3, that tell of one that is never asked.
fn never_asked(providers: &str, tables: &str) -> Vec<String> {
    let route =
        format!("[[routes]]\npath = '/'\nauth = {{ providers = [{providers}] }}\nupstream = 'http://127.0.0.1:1'");
    let told = warnings(&format!("{route}\n{tables}"));
    told.into_iter().filter(|warning| warning.contains("never asked")).collect()
}

#[test]
fn passwords_are_kept_well_and_do_not_go_over_networks_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("users"), folder.path().join("bad"));
    std::fs::write(&good, "ada:$2b$10$Qm5kT0wYdXh3ZVJ2c2FsdOSbJOoVXTtEtDVBol/Nw7NNt2IKsntu6\n").unwrap();
    std::fs::write(&bad, "# users\nada:$apr1$x$y\n").unwrap();
    let provider = |file: &std::path::Path, more: &str| {
        format!("[identity.providers.p]\nkind = 'basic'\nusers_file = '{}'\n{more}\n", file.display())
    };
    check(&provider(&good, "realm = 'internal tools'"), &[]);
    let said = errors(&provider(&bad, "")).join("\n");
    let line = "line 2: the password of \"ada\" is hashed by MD5, and is guessed too fast; `htpasswd -B -C 12 FILE ada` writes a good one";
    assert!(said.starts_with("3:14: ") && said.ends_with(line), "{said}");
    check("[identity.providers.p]\nkind = 'basic'", &["1:1: \"users_file\" is missing in [identity.providers.p]"]);
    let quoted = "4:9: \"a\\\"b\" is not a realm: it is plain ASCII, without quotes and backslashes";
    let said = errors(&provider(&good, "realm = 'a\"b'"));
    assert_eq!(said, [quoted]);
    let route = |more: &str, listener: &str| {
        let text = format!(
            "[[routes]]\npath = '/'\nauth = {{ providers = ['p'] }}\nupstream = 'http://127.0.0.1:1'\n{more}\n{listener}\n{}",
            provider(&good, "")
        );
        warnings(&text).into_iter().filter(|warning| warning.contains("in the clear over")).collect::<Vec<_>>()
    };
    let open = "[[listeners]]\naddress = '0.0.0.0:8080'";
    let told = route("", open);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("3:23: passwords for \"p\" come in the clear over 0.0.0.0:8080"), "{told:?}");
    for (more, listener) in [
        ("", ""),
        ("", "[[listeners]]\naddress = '127.0.0.1:8080'"),
        ("", "[[listeners]]\naddress = '10.1.2.3:8080'"),
        ("https = 'require'", open),
        ("", &format!("{open}\n[server]\ntrusted_proxies = ['10.0.0.0/8']")),
    ] {
        assert_eq!(route(more, listener), [""; 0], "{more} {listener}");
    }
}

#[test]
fn tokens_are_looked_for_where_they_can_be_and_once() {
    let with = |places: &str| format!("{}token_from = [{places}]", inline(KEY));
    check(&with("'header', 'cookie:__Host-s', 'header:X-Access-Token'"), &[]);
    for (places, why) in [
        ("", "6:14: the list is empty"),
        (
            "'query:t'",
            "6:15: \"query:t\" is not header, header:NAME or cookie:NAME: a token there is in logs and histories, and is not looked for",
        ),
        ("'cookie'", "6:15: \"cookie\" is not header, header:NAME or cookie:NAME: that is no place of a token"),
        ("'cookie:a b'", "6:15: \"cookie:a b\" is not header, header:NAME or cookie:NAME: that is no cookie's name"),
        (
            "'header:Authorization'",
            "6:15: \"header:Authorization\" is not header, header:NAME or cookie:NAME: its bearer tokens are `header`",
        ),
        (
            "'header:cookie'",
            "6:15: \"header:cookie\" is not header, header:NAME or cookie:NAME: a cookie is `cookie:NAME`",
        ),
        ("'header:X-A', 'header:x-a'", "6:29: \"header:x-a\" is named twice"),
        ("'header:x-auth-token'", "6:15: \"x-auth-token\" is an identity header, which is taken from every request"),
    ] {
        check(&with(places), &[why]);
    }
    let told = warnings(&with("'cookie:session'"));
    let ambient = "6:15: browsers take the cookie \"session\" from every host of its domain, and over http too";
    assert!(told.iter().any(|warning| warning.starts_with(ambient)), "{told:?}");
    assert!(!warnings(&with("'cookie:__Host-session'")).iter().any(|warning| warning.contains("browsers")));
}

#[test]
fn a_header_that_carries_tokens_is_told_in_no_record() {
    let text = format!(
        "{}token_from = ['header:X-Access']\n[telemetry.access_log]\nrequest_headers = ['x-access']",
        inline(KEY)
    );
    check(&text, &["8:20: \"x-access\" carries credentials"]);
}

#[test]
fn a_provider_before_which_another_takes_all_is_told_of() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    let jwks = format!("audiences = ['x']\njwks = {{ inline = '{{\"keys\":[{KEY}]}}' }}");
    let signed =
        |name: &str, issuer: &str| format!("[identity.providers.{name}]\nkind = 'jwt'\nissuer = '{issuer}'\n{jwks}\n");
    let opaque = |name: &str| {
        format!(
            "[identity.providers.{name}]\nkind = 'introspection'\nurl = 'https://idp.test'\nclient_id = 'g'\n\
             client_secret_env = 'SECRET'\n"
        )
    };
    let own = |name: &str, more: &str| format!("[identity.providers.{name}]\nkind = 'custom'\nname = 'n'\n{more}\n");
    let key = |name: &str, header: &str| {
        format!("[identity.providers.{name}]\nkind = 'api_key'\nfile = '{keys}'\n{header}\n")
    };
    let all = format!(
        "{}{}{}{}{}{}{}{}{}{}{}",
        opaque("w") + "token_from = ['cookie:__Host-s', 'header']\n",
        signed("a", "i"),
        signed("b", "i"),
        signed("c", "I"),
        opaque("o"),
        opaque("p"),
        own("t", ""),
        own("h", "header = 'X-Api-Key'"),
        key("k", ""),
        key("l", "header = 'x-other'"),
        "[identity.providers.m]\nkind = 'mtls'\n"
    );
    for (providers, expected) in [
        ("'a', 'b'", Some("3:28: \"b\" is never asked: \"a\" before it takes every token of the issuer \"i\"")),
        ("'o', 'p'", Some("3:28: \"p\" is never asked: \"o\" before it takes every bearer token")),
        ("'o', 'a'", Some("3:28: \"a\" is never asked: \"o\" before it takes every bearer token")),
        ("'t', 'o'", Some("3:28: \"o\" is never asked: \"t\" before it takes every bearer token")),
        ("'k', 'h'", Some("3:28: \"h\" is never asked: \"k\" before it takes every credential in the header")),
        ("'m', 'm'", Some("3:28: \"m\" is never asked: \"m\" before it takes every certificate")),
        ("'a', 'c', 'o', 'k', 'l', 'm'", None),
        ("'h', 't', 'l'", None),
        ("'o', 'w'", None),
        ("'a', 'w'", None),
        ("'w', 'a'", Some("3:28: \"a\" is never asked: \"w\" before it takes every token in cookie:__Host-s, header")),
    ] {
        let told = never_asked(providers, &all);
        assert_eq!(told.len(), usize::from(expected.is_some()), "{providers}: {told:?}");
        assert!(told.iter().zip(expected).all(|(told, expected)| told.starts_with(expected)), "{providers}: {told:?}");
    }
}

#[test]
fn an_opaque_token_is_for_somebody_or_that_is_told_of() {
    let told = |provider: &str, claims: &str| {
        let text = format!(
            "[[routes]]\npath = '/'\nauth = {{ providers = ['o']{claims} }}\nupstream = 'http://127.0.0.1:1'\n\
             [identity.providers.o]\nkind = 'introspection'\nurl = 'https://idp.test'\nclient_id = 'g'\n\
             client_secret_env = 'SECRET'\n{provider}\n"
        );
        warnings(&text).into_iter().filter(|warning| warning.contains("active")).collect::<Vec<_>>()
    };
    let silent = told("", "");
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(silent[0].starts_with("3:23: \"o\" lets every active token in"), "{silent:?}");
    for (provider, claims) in [("audiences = ['api']", ""), ("audiences = []", ""), ("", ", claims = { aud = 'api' }")]
    {
        assert_eq!(told(provider, claims), [""; 0], "{provider}{claims}");
    }
}

#[test]
fn a_name_that_any_listener_lets_pass_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    for file in ["a.pem", "b.pem"] {
        std::fs::write(folder.path().join(file), made.cert.pem()).unwrap();
    }
    std::fs::write(folder.path().join("a.key"), made.signing_key.serialize_pem()).unwrap();
    let told = |signers: [&str; 2], ca: &str| {
        let at = |file: &str| format!("'{}'", folder.path().join(file).display());
        let listener = |(port, signer): (u16, &str)| {
            format!(
                "[[listeners]]\naddress = '127.0.0.1:{port}'\ntls = {{ cert = {}, key = {}, client_ca = {}, \
                 client_auth = 'optional' }}\n",
                at("a.pem"),
                at("a.key"),
                at(signer)
            )
        };
        let ca = if ca.is_empty() { String::new() } else { format!("ca = {}\n", at(ca)) };
        let provider = format!("[identity.providers.m]\nkind = 'mtls'\n{ca}");
        let listeners: String = [(8443, signers[0]), (8444, signers[1])].map(listener).concat();
        let told = warnings(&format!("{provider}{listeners}"));
        told.into_iter().filter(|warning| warning.contains("differ in `client_ca`")).collect::<Vec<_>>()
    };
    let several = told(["a.pem", "b.pem"], "");
    assert!(several.len() == 1 && several[0].starts_with("2:8: listeners differ"), "{several:?}");
    assert_eq!(told(["a.pem", "b.pem"], "a.pem"), [""; 0]);
    assert_eq!(told(["a.pem", "a.pem"], ""), [""; 0]);
    let missing = errors("[identity.providers.m]\nkind = 'mtls'\nca = 'no-such.pem'");
    assert_eq!(missing.len(), 1, "{missing:?}");
}

#[test]
fn a_capacity_that_leaves_nothing_to_each_worker_is_told_of() {
    let told = |capacity: u32| {
        let provider = format!("kind = 'custom'\nname = 'n'\ncache = {{ capacity = {capacity} }}");
        let told = warnings(&format!("[server]\nworkers = 4\n[identity.providers.t]\n{provider}\n"));
        told.into_iter().filter(|warning| warning.contains("remembered")).collect::<Vec<_>>()
    };
    let help = "(write 8 or more, or 0 where that is meant)";
    assert_eq!(told(7), [format!("6:22: 7 between 4 workers is nothing: no answer would be remembered {help}")]);
    assert_eq!((told(8), told(0)), (vec![], vec![]));
}

#[test]
fn dots_in_a_claims_name_are_no_path() {
    let told = |within: &str, of_route: &str| {
        let route = "[[routes]]\npath = '/'\nupstream = 'http://b'";
        let auth = format!("auth = {{ providers = ['a']{of_route} }}");
        warnings(&format!("{}[identity]\n{within}\n{route}\n{auth}\n", inline(KEY)))
    };
    let message =
        "\"realm.roles\" is one claim whose name has a dot (a claim within another is written \"/realm/roles\")";
    assert_eq!(told("claims = { x-roles = 'realm.roles' }", ""), [format!("7:22: {message}")]);
    let of_route = told("", ", claims = { 'realm.roles' = 'x' }");
    assert!(of_route.len() == 1 && of_route[0].starts_with("11:") && of_route[0].ends_with(message), "{of_route:?}");
    let fine = "claims = { x-roles = '/realm/roles', x-tenant = 'https://shop.example/tenant' }";
    assert_eq!(told(fine, ", claims = { '/realm/roles' = 'x', level = 3 }"), [""; 0]);
}

#[test]
fn a_star_is_no_pattern_of_audiences() {
    let told = warnings(&inline(KEY).replace("['x']", "['x', '*']"));
    assert!(told.iter().any(|it| it.starts_with("3:19: an audience is compared letter by letter")), "{told:?}");
    let elsewhere = inline(KEY).replace("issuer", "audience_claim = 'client_id'\nissuer");
    assert!(!warnings(&elsewhere).iter().any(|it| it.contains("audience")), "{elsewhere}");
}
