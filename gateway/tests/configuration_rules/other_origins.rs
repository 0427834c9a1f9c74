//! `cors`: pages of other origins.

use super::{check, check_route, errors, warnings};

#[test]
fn pages_of_other_origins() {
    check_route("cors = { origins = [\"https://a.test\", \"capacitor://localhost\", \"http://[::1]:3000\"] }", &[]);
    check_route(
        "cors = { origins = [\"https://*.a.test:8443\", \"http://*.localhost:3000\"], credentials = true }",
        &[],
    );
    check_route("cors = { origins = [\"*\"], methods = [\"*\"], headers = [\"*\"] }", &[]);
    check_route("cors = {}", &["4:8: \"origins\" is missing in [routes.cors]"]);
    let origin = |origin: &str, why: &str| {
        let problem = format!("4:21: \"{origin}\" is not an origin: {why}");
        check_route(&format!("cors = {{ origins = [\"{origin}\"] }}"), &[&problem]);
    };
    origin("https://a/", "an origin has no path, and no slash at its end");
    origin("a.test", "it begins with a scheme, as https://");
    origin("null", "any page can make itself one without an origin, so that is nobody in particular");
    origin("https://A.test", "browsers write its host in small letters");
    origin("HTTPS://a.test", "its scheme is in small letters");
    let nowhere_else = "a star stands for whole labels at the beginning of the host alone, as https://*.example.com";
    for star in ["https://a.*.test", "https://*a.test", "https://app-*.a.test", "https://*.*.test", "https://a.test:*"]
    {
        origin(star, nowhere_else);
    }
    origin("https://*", "that is every page of the scheme; name the domain, as https://*.example.com");
    let anybody = "anybody can register a name there; a star needs a domain of your own, as https://*.example.com";
    origin("https://*.com", anybody);
    origin("https://*.com:8443", anybody);
    origin("https://*.", "the host is missing");
    origin("https://*.10.0.0.1", "a star stands before a name, and not before an address");
    origin("*://*.a.test", "its scheme is in small letters");
    origin("https://a.test:443", "browsers leave the port of the scheme out");
    origin("https://a.test:0", "its port is no port");
    origin("https://a.test:x", "its port is no port");
    origin("https://", "the host is missing");
    origin("https://u@a.test", "its host is a name or an address");
    check_route(
        "cors = { origins = [\"*\"], credentials = true }",
        &["4:20: every origin and credentials do not go together"],
    );
    check_route("cors = { origins = [\"*\", \"https://a.test\"] }", &["4:20: \"*\" is every origin"]);
    check_route(
        "cors = { origins = [\"https://a.test\"], headers = [\"*\"], credentials = true }",
        &["4:50: to browsers that send credentials \"*\" among headers is a name like any other"],
    );
    check_route(
        "cors = { origins = [\"https://a.test\"], expose_headers = [\"*\"], credentials = true }",
        &["4:57: to browsers that send credentials \"*\" among expose_headers is a name like any other"],
    );
    check_route("cors = { origins = [\"*\"], expose_headers = [\"X-Total\", \"*\"] }", &[]);
    let route = "[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";
    let bad = errors(&format!("{route}cors = {{ origins = [\"*\"], expose_headers = [\"x total\"] }}"));
    assert!(bad.len() == 1 && bad[0].starts_with("4:45: \"x total\" is not a header's name"), "{bad:?}");
    let text = "[identity.providers.p]\nkind = \"mtls\"\n[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n\
                auth = { providers = [\"p\"] }\ncors = { origins = [\"https://a.test\"] }";
    let warning = "7:8: the route wants to know who asks, and pages may send no header that tells it \
                   (headers = [\"authorization\"], or the header of the API key)";
    assert!(warnings(text).contains(&warning.to_owned()), "{:?}", warnings(text));
}

#[test]
fn no_edit_says_what_cors_decides() {
    let cors = "cors = { origins = [\"https://a.test\"] }";
    let edits = |edits: &str| format!("response_headers = {{ {edits} }}\n{cors}");
    let told = |column: usize, name: &str| {
        format!("4:{column}: `cors` decides \"{name}\": an edit would hold for every page, also for those that may not")
    };
    for name in ["Access-Control-Allow-Origin", "access-control-allow-credentials", "access-control-max-age"] {
        let lower = name.to_ascii_lowercase();
        check_route(&edits(&format!("set = {{ {name} = \"1\" }}")), &[&told(30, &lower)]);
        check_route(&edits(&format!("remove = [\"{name}\"]")), &[&told(32, &lower)]);
        check_route(&format!("response_headers = {{ set = {{ {name} = \"1\" }} }}"), &[]);
    }
    check_route(
        &edits("add = { access-control-allow-methods = \"PUT\" }"),
        &[&told(30, "access-control-allow-methods")],
    );
    let shared = "[defaults.route]\nresponse_headers = { set = { access-control-allow-origin = \"*\" } }\n\
                  [[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";
    check(shared, &[]);
    check(&format!("{shared}{cors}"), &[&told(30, "access-control-allow-origin").replacen('4', "2", 1)]);
    let aggregate = "[[aggregates]]\npath = \"/s\"\nparts = [{ name = \"a\", upstream = \"up\", path = \"/\" }]\n";
    let up = "\n[upstreams.up]\nendpoints = [\"b:1\"]\n";
    let own = format!("{aggregate}{}{up}", edits("set = { access-control-allow-origin = \"*\" }"));
    check(&own, &[&told(30, "access-control-allow-origin")]);

    let route = "[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";
    let warned = |it: &str| warnings(&format!("{route}{}", edits(it)));
    let expose = warned("set = { access-control-expose-headers = \"x-total\" }");
    assert!(expose.len() == 1 && expose[0].contains("cors = { expose_headers"), "{expose:?}");
    assert_eq!(warned("remove = [\"access-control-expose-headers\"]").len(), 1);
    assert!(warned("add = { access-control-expose-headers = \"x-total\" }").is_empty());
}

#[test]
fn a_star_before_what_is_nobodys_own_is_doubtful() {
    let told = |cors: &str| {
        let route = "[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";
        warnings(&format!("{route}cors = {{ origins = [{cors}] }}")).iter().filter(|it| it.starts_with("4:")).count()
    };
    let told_with = |origin: &str| told(&format!("\"{origin}\"], credentials = true, headers = [\"x-a\""));
    for shared in ["https://*.github.io", "https://*.co.uk", "https://*.vercel.app:8443"] {
        assert_eq!(told(&format!("\"{shared}\"")), 1, "{shared}");
    }
    assert_eq!(told("\"https://*.me.github.io\", \"https://*.example.com\", \"https://me.github.io\""), 0);
    assert_eq!((told_with("http://*.example.com"), told("\"http://*.example.com\"")), (1, 0));
    assert_eq!((told_with("https://*.example.com"), told_with("http://*.localhost:3000")), (0, 0));
}
