//! What routes share, and a route that has none of it.

use crate::support::{Gateway, echo};

#[tokio::test]
async fn a_route_without_the_shared_auth_takes_everybody_and_nobodys_word_for_who_they_are() {
    let upstream = echo().await;
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    let route =
        |name: &str, more: &str| format!("[[routes]]\nname = '{name}'\npath = '/{name}'\nupstream = 'up'\n{more}\n");
    let text = format!(
        "[identity.providers.keys]\nkind = 'api_key'\nfile = '{keys}'\n\n[upstreams.up]\nendpoints = ['{}']\n\n\
         [defaults.route]\nauth = {{ providers = ['keys'] }}\nretry = {{ attempts = 1 }}\n\n{}{}",
        upstream.addr(),
        route("closed", ""),
        route("open", "auth = false")
    );
    let gateway = Gateway::start(&text).await;
    let ask = async |path: &str, fields: &str| {
        gateway.ask(format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")).await
    };
    for fields in ["", "x-api-key: wrong\r\n"] {
        assert_eq!(ask("/closed", fields).await.status, 401, "{fields}");
        let answer = ask("/open", &format!("{fields}x-auth-subject: root\r\nx_auth_subject: root\r\n")).await;
        // The twin with underscores is refused on every route.
        assert_eq!(answer.status, 400, "{fields}");
        let answer = ask("/open", &format!("{fields}x-auth-subject: root\r\nx-auth-scopes: all\r\n")).await;
        assert_eq!(answer.status, 200, "{fields}");
        let echo = answer.echo();
        assert_eq!((echo.header("x-auth-subject"), echo.header("x-auth-scopes")), (None, None));
    }
    let told = gateway.admin("GET", "/explain?method=GET&url=/open").await;
    let told = String::from_utf8(told.body).unwrap();
    assert!(!told.contains("providers"), "{told}");
}
