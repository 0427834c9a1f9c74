//! Which of a client's headers get to what looks for them: the rules by which the gateway screens requests, before
//! there is a gateway.

use http::HeaderName;

use super::Reader;
use crate::config::build;
use crate::config::problem::quoted;
use crate::config::schema::ROOT;
use crate::config::schema::route::ROUTE;
use crate::config::source::Span;
use crate::config::tree::{Node, Table};
use crate::config::value::text;
use crate::context::{HeaderRules, Taken};

/// What becomes of a client's headers before anything looks at them.
pub(crate) struct Screening {
    rules: HeaderRules,
    /// `strip_headers`
    strip: Vec<String>,
    trusts_proxies: bool,
    /// What services say of requests, which whatever comes after them may look at.
    told: Vec<HeaderName>,
    /// The program's own code may set headers.
    has_stages: bool,
}

/// A header that no request has, and why.
pub(crate) struct Missing {
    /// Who takes it.
    pub(crate) taken: Taken,
    /// What is said of it.
    pub(crate) message: String,
    /// What takes it, and what to do.
    pub(crate) help: String,
}

impl Screening {
    /// By what the tables say, as far as they can be understood.
    pub(crate) fn of<'a>(root: &'a Table, shared: impl Fn(&'a Table) -> Option<&'a Table>) -> Self {
        let root = Reader::new(Some(root), None, &ROOT, Span::default());
        let (server, identity) = (build::general::server(&root.table("server")), root.table("identity"));
        let tables = root.nodes("routes").iter().filter_map(Node::table);
        let routes = tables.map(|table| Reader::new(Some(table), shared(table), &ROUTE, Span::default()));
        let (mut told, mut has_mirrors, mut has_stages) = (Vec::new(), false, false);
        for route in routes {
            if route.get("forward_auth").is_some() {
                let names = route.table("forward_auth").texts("response_headers");
                told.extend(names.iter().filter_map(|name| text::header_name(name).ok()));
            }
            has_mirrors |= route.get("mirror").is_some();
            has_stages |= !route.nodes("stages").is_empty();
        }
        let mut headers = build::identity::headers(&identity);
        build::identity::add_stripped(&mut headers, told.iter(), has_mirrors);
        Self {
            rules: HeaderRules::new(&headers, server.underscores_in_headers),
            strip: identity.texts("strip_headers"),
            trusts_proxies: !server.trusted_proxies.is_empty(),
            told,
            has_stages,
        }
    }

    /// Whether some proxies are believed.
    pub(crate) fn trusts_proxies(&self) -> bool {
        self.trusts_proxies
    }

    /// Why no request has this header when its route is looked for; `None` where one may have it.
    pub(crate) fn missing(&self, name: &HeaderName) -> Option<Missing> {
        let taken = self.rules.why_taken(name, self.trusts_proxies)?;
        let shown = quoted(name.as_str());
        let (message, help) = match taken {
            Taken::Identity => (
                format!("{shown} is an identity header, which is taken from every request"),
                format!("{}: use another header", self.who_strips(name)),
            ),
            Taken::ForProxies => (
                format!("{shown} is for proxies to say, and is taken from every client"),
                "use another header, or name the proxies before the gateway in `trusted_proxies` of [server]"
                    .to_owned(),
            ),
            Taken::Connection => {
                let message = format!("{shown} speaks of one connection, and ends at the gateway");
                let is_switch = *name == http::header::UPGRADE;
                let help =
                    if is_switch { "a WebSocket has sec-websocket-version = \"*\"" } else { "use another header" };
                (message, help.to_owned())
            }
            Taken::Refused | Taken::Underscore => {
                let what = if taken == Taken::Refused { "refused with it" } else { "sent on without it" };
                (
                    format!("{shown} has an underscore: every request is {what}"),
                    format!(
                        "write {}, or underscores_in_headers = \"keep\" in [server]",
                        quoted(&name.as_str().replace('_', "-"))
                    ),
                )
            }
        };
        Some(Missing { taken, message, help })
    }

    /// Whether services believe this header since no client can send it, but proxies can, and nobody is trusted as one.
    pub(crate) fn is_for_proxies_alone(&self, name: &HeaderName) -> bool {
        !self.trusts_proxies && self.rules.why_taken(name, false) == Some(Taken::ForProxies)
    }

    /// The same of when an upstream is chosen: what services say is there then, and what stages set.
    pub(crate) fn missing_at_last(&self, name: &HeaderName) -> Option<Missing> {
        let is_added = self.told.contains(name) || (self.has_stages && name.as_str().contains('_'));
        if is_added { None } else { self.missing(name) }
    }

    /// What of the configuration takes an identity header.
    fn who_strips(&self, name: &HeaderName) -> String {
        let folded = |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let name = folded(name.as_str());
        let takes = |pattern: &&String| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(&folded(prefix)),
            None => folded(pattern) == name,
        };
        match self.strip.iter().find(takes) {
            Some(pattern) => format!("`strip_headers` of [identity] names {}", quoted(pattern)),
            None => "only the gateway sets it".to_owned(),
        }
    }
}
