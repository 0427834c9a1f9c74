//! How a request that is asked about comes: by which listener, and whether encrypted; and what its route makes of that.

use http::HeaderValue;

use super::Question;
use super::proxied::Told;
use crate::config::settings::listener::Listener;
use crate::config::settings::own_answer::{Https, Origin, OwnAnswer};
use crate::config::settings::{Config, Route};
use crate::error::GatewayError;
use crate::request_target::PathQuery;
use crate::response;

/// How it comes.
#[derive(Debug)]
pub(super) struct Way<'a> {
    /// The listener's name; empty where it has none.
    pub(super) listener: &'a str,
    /// Its client's own connection is encrypted.
    pub(super) secure: bool,
    /// The same in words, where there is more than one way.
    pub(super) told: Option<String>,
}

/// What a route makes of where a request comes from.
#[derive(Debug)]
pub(super) struct Verdict {
    /// In words.
    pub(super) told: String,
    /// The refusal, where it is one.
    pub(super) refused: Option<GatewayError>,
    /// The request goes on to what else the route asks.
    pub(super) passes: bool,
}

impl<'a> Way<'a> {
    /// By the listener that the question names; else by one that speaks what its URL says, on the URL's port before
    /// others; else, as where it is only a path, by the first.
    ///
    /// # Errors
    /// No listener has that name.
    pub(super) fn of(config: &'a Config, question: &Question) -> Result<Self, String> {
        let asked = question.over_tls();
        let listener = match &question.listener {
            Some(name) => Some(config.listener(name)?),
            None => picked(config, question).or(config.listeners.first()),
        };
        let listener = listener.map(|it| (it, it.tls.is_some()));
        let has_proxies = !config.server.trusted_proxies.is_empty();
        let (secure, doubt) = match (listener, asked) {
            // Somebody else's listeners: a program's own.
            (None, asked) => (asked == Some(true), ""),
            (Some((_, false)), Some(true)) if has_proxies => (true, ", as a trusted proxy says"),
            (Some((_, false)), Some(true)) => (false, ": it speaks no TLS, and no proxy is trusted to say that it did"),
            (Some((_, true)), Some(false)) => {
                (true, ": it speaks TLS alone, and HTTP in the clear is answered 400 there")
            }
            (Some((_, speaks_tls)), _) => (speaks_tls, ""),
        };
        let is_plain = doubt.is_empty() && config.listeners.len() < 2 && !secure;
        let told = listener.filter(|_| !is_plain).map(|(it, _)| {
            let came = if secure { "over TLS" } else { "in the clear" };
            let name = it.name.as_deref().map_or_else(|| it.address.to_string(), |name| format!("{name:?}"));
            format!("{came}, by the listener {name}{doubt}")
        });
        let (secure, told) = match &question.told {
            Some(Told { by, secure: Some(secure), .. }) => {
                let came = if *secure { "over TLS" } else { "in the clear" };
                (*secure, Some(format!("{came}, as the proxy at {by} says")))
            }
            _ => (secure, told),
        };
        Ok(Self { listener: listener.and_then(|(it, _)| it.name.as_deref()).unwrap_or(""), secure, told })
    }

    /// What a route makes of it, in the pipeline's order: first whether it lets the client in, then how it came. `sent`
    /// is the URL's path and query.
    pub(super) fn verdict(
        &self,
        (config, question): (&Config, &Question),
        (origin, lets_in): (&Origin, bool),
        sent: &str,
    ) -> Verdict {
        let addresses = Origin { https: Https::Any, ..origin.clone() }.to_string();
        let (https, refused, passes) = match origin.https {
            _ if !lets_in => (Some("not from this address: refused".to_owned()), Some(crate::origin::refused()), false),
            Https::Any => (None, None, true),
            Https::Redirect | Https::Require if self.secure => (Some("came over TLS: served".to_owned()), None, true),
            Https::Require => {
                let refused = crate::origin::refused_in_the_clear();
                (Some("came in the clear: refused".to_owned()), Some(refused), false)
            }
            Https::Redirect => {
                let redirect = response::over_tls(config.server.https_port);
                let told = match self.location(&redirect, question, sent) {
                    Some(url) => format!("came in the clear: sent to {url} with {}", redirect.status.as_u16()),
                    None => "came in the clear: sent to https".to_owned(),
                };
                (Some(told), None, false)
            }
        };
        let parts = https.into_iter().chain(Some(addresses).filter(|told| !told.is_empty()));
        Verdict { told: parts.collect::<Vec<_>>().join("; "), refused, passes }
    }

    /// What an answer says of later requests to this host, where it comes over TLS.
    pub(super) fn hsts(&self, config: &Config) -> Option<String> {
        let told = config.server.hsts.as_ref().filter(|_| self.secure)?;
        told.to_str().ok().map(str::to_owned)
    }

    /// Whether a route sends it to TLS, where it lets its client in.
    pub(super) fn is_sent_to_https(&self, route: &Route) -> bool {
        !self.secure && route.origin.as_deref().is_some_and(|origin| origin.https == Https::Redirect)
    }

    /// What is asked for, or where the route leads: the whole `Location`, where that is a redirect's. `sent` is its
    /// path and query.
    pub(super) fn target(&self, route: &Route, question: &Question, sent: String) -> String {
        let Some(OwnAnswer::Redirect(redirect)) = route.own_answer.as_deref() else { return sent };
        self.location(redirect, question, &sent).unwrap_or(sent)
    }

    fn location(
        &self,
        redirect: &crate::config::settings::own_answer::Redirect,
        question: &Question,
        sent: &str,
    ) -> Option<String> {
        let target: PathQuery = sent.parse().ok().filter(|_| sent.starts_with('/'))?;
        // Of a path alone nobody knows the host.
        let told = question.told.as_ref().and_then(|told| told.host.clone());
        let host = told.or_else(|| question.stated_host()).unwrap_or(HeaderValue::from_static("(host)"));
        let location = response::location(redirect, (self.secure, Some(&host)), &target)?;
        location.to_str().ok().map(str::to_owned)
    }
}

/// The listener that a URL with a scheme is for.
fn picked<'a>(config: &'a Config, question: &Question) -> Option<&'a Listener> {
    let asked = question.over_tls()?;
    let port = question.uri.port_u16().unwrap_or(if asked { 443 } else { 80 });
    let mut fit = config.listeners.iter().filter(|it| it.tls.is_some() == asked);
    fit.clone().find(|it| it.address.port() == port).or_else(|| fit.next())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Answer, answer};
    use super::*;
    use crate::config::{Purpose, load_text};

    fn text(listeners: &str) -> String {
        format!(
            "{listeners}\n\
             [[routes]]\nname = 'api'\npath = '/api'\nupstream = 'http://127.0.0.1:1'\nhttps = 'redirect'\n\
             [[routes]]\nname = 'inner'\npath = '/inner'\nupstream = 'http://127.0.0.1:1'\nhttps = 'require'\n\
             addresses = {{ allow = ['10.0.0.0/8'] }}\n\
             [[routes]]\nname = 'moved'\npath = '/moved'\nredirect = {{ host = 'b.test', status = 301 }}\n\
             [[routes]]\nname = 'only'\npath = '/only'\nupstream = 'http://127.0.0.1:1'\nlisteners = ['https']\n"
        )
    }

    /// Listeners in the clear and over TLS, with a certificate of their own.
    fn both(folder: &Path) -> String {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let [cert, key] = ["a.pem", "a.key"].map(|name| folder.join(name));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        format!(
            "[[listeners]]\nname = 'http'\naddress = '127.0.0.1:8080'\n\
             [[listeners]]\nname = 'https'\naddress = '127.0.0.1:8443'\ntls = {{ cert = '{}', key = '{}' }}\n\
             [[listeners]]\nname = 'other'\naddress = '127.0.0.1:8081'\n",
            cert.display(),
            key.display()
        )
    }

    fn ask(text: &str, url: &str, listener: Option<&str>) -> Answer {
        let config = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|it| panic!("{it:?}"));
        let question = Question::parse("GET", url, &[]).unwrap();
        let question = listener.into_iter().fold(question, |it, name| it.by_listener(name.to_owned()));
        answer(&config.config, &question)
    }

    fn origin(answer: &Answer) -> &str {
        answer.policies.as_ref().unwrap().origin.as_deref().unwrap_or_default()
    }

    #[test]
    fn the_urls_scheme_picks_the_listener_and_the_verdict_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = text(&both(folder.path()));
        let over_tls = ask(&text, "https://a.test/api?x=1", None);
        assert_eq!(over_tls.came.as_deref(), Some("over TLS, by the listener \"https\""));
        assert_eq!(origin(&over_tls), "came over TLS: served");
        let clear = ask(&text, "http://a.test/api?x=1", None);
        assert_eq!(clear.came.as_deref(), Some("in the clear, by the listener \"http\""));
        assert_eq!(origin(&clear), "came in the clear: sent to https://a.test/api?x=1 with 308");
        assert!(clear.policies.as_ref().unwrap().to_https && !over_tls.policies.as_ref().unwrap().to_https);
        assert!(ask(&text, "http://a.test:8081/api", None).came.unwrap().ends_with("\"other\""), "by its port");
        assert_eq!(origin(&ask(&text, "/api", None)), "came in the clear: sent to https://(host)/api with 308");
        assert_eq!(origin(&ask(&text, "/api", Some("https"))), "came over TLS: served");
        assert_eq!(ask(&text, "https://a.test/only", None).routing.unwrap().route.as_deref(), Some("only"));
        assert!(ask(&text, "http://a.test/only", None).policies.is_none());
        let contrary = ask(&text, "http://a.test/api", Some("https")).came.unwrap();
        assert!(contrary.contains("HTTP in the clear is answered 400 there"), "{contrary}");
    }

    #[test]
    fn what_came_in_the_clear_is_refused_where_the_route_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let text = text(&both(folder.path()));
        let refused = ask(&text, "http://a.test/inner", None);
        assert_eq!((refused.status, origin(&refused)), (Some(403), "came in the clear: refused; only 10.0.0.0/8"));
        let served = ask(&text, "https://a.test/inner", None);
        assert_eq!((served.status, origin(&served)), (None, "came over TLS: served; only 10.0.0.0/8"));
    }

    #[test]
    fn who_is_not_let_in_is_told_that_alone_as_it_is_asked_first() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = "\naddresses = { allow = ['10.0.0.0/8'] }\n";
        let text = text(&both(folder.path())).replace("https = 'redirect'", &format!("https = 'redirect'{addresses}"));
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|it| panic!("{it:?}"));
        let from = |url: &str, client: &str| {
            answer(&config.config, &Question::parse("GET", url, &[]).unwrap().asked_from(client.parse().unwrap()))
        };
        for url in ["http://a.test/api", "https://a.test/api", "http://a.test/inner", "https://a.test/inner"] {
            let refused = from(url, "11.0.0.1");
            assert_eq!(refused.refused.as_deref(), Some("This address may not use this route."), "{url}");
            assert_eq!(
                (refused.status, origin(&refused)),
                (Some(403), "not from this address: refused; only 10.0.0.0/8")
            );
        }
        let sent = from("http://a.test/api", "10.0.0.1");
        let told = "came in the clear: sent to https://a.test/api with 308; only 10.0.0.0/8";
        assert_eq!((sent.status, origin(&sent)), (None, told));
        assert_eq!(
            from("http://a.test/inner", "10.0.0.1").refused.as_deref(),
            Some("This route is served over TLS alone.")
        );
    }

    #[test]
    fn behind_a_proxy_that_ends_tls_the_url_says_how_it_came() {
        let proxied = text("[server]\ntrusted_proxies = ['10.0.0.0/8']").replace("listeners = ['https']", "");
        assert_eq!(origin(&ask(&proxied, "https://a.test/api", None)), "came over TLS: served");
        let strict = proxied.replace("[server]", "[server]\nhsts = { max_age = '1h' }");
        assert_eq!(ask(&strict, "https://a.test/api", None).hsts.as_deref(), Some("max-age=3600"));
        assert_eq!(ask(&strict, "http://a.test/api", None).hsts, None);
        let alone = text("").replace("listeners = ['https']", "");
        let told = ask(&alone, "https://a.test/api", None);
        assert!(told.came.as_deref().unwrap().contains("no proxy is trusted"), "{told:?}");
        assert!(origin(&told).starts_with("came in the clear: sent to https://a.test/api"));
        assert_eq!(ask(&alone, "http://a.test/api", None).came, None, "there is one way");
    }

    #[test]
    fn a_redirect_is_told_whole() {
        let alone = text("").replace("listeners = ['https']", "");
        let target = |url: &str| ask(&alone, url, None).policies.unwrap().target;
        assert_eq!(target("http://a.test/moved?b=c"), "http://b.test/moved?b=c");
        assert_eq!(target("/moved"), "http://b.test/moved");
    }
}
