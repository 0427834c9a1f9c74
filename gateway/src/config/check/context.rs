//! What the check of a whole configuration knows beside the value it looks at.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderName;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;

use super::Reader;
use super::policies::{Policies, Replaced};
use super::screening::Screening;
use crate::config::certificates::{self, Fault};
use crate::config::fingerprint::Held;
use crate::config::load::Purpose;
use crate::config::parse::environment::Environment;
use crate::config::problem::{Report, did_you_mean, quoted};
use crate::config::registered::{Doors, PluginKind, Registered};
use crate::config::schema::route::ROUTE;
use crate::config::schema::upstream::UPSTREAM;
use crate::config::schema::{ROOT, TableDef};
use crate::config::settings::identity::HeaderPattern;
use crate::config::source::{Sources, Span};
use crate::config::tree::{Node, Table};
use crate::config::validate::addresses;
use crate::config::value::text::NAME;

/// A chain with its key, or what is wrong with them.
type Pair = Result<Arc<CertifiedKey>, Fault>;

/// The state of one check.
pub(crate) struct Context<'a> {
    /// What was found.
    pub(crate) report: Report,
    /// The files.
    pub(crate) sources: &'a Sources,
    /// Where secrets are.
    pub(crate) environment: &'a dyn Environment,
    /// Whether an unset secret is a warning.
    pub(crate) purpose: Purpose,
    /// Without syntax errors; otherwise what is missing is not reported, as it may be what was not understood.
    pub(crate) complete: bool,
    /// The headers that clients cannot set, and edits cannot either.
    pub(crate) identity_headers: Vec<HeaderPattern>,
    /// What becomes of clients' headers.
    pub(crate) screening: Screening,
    /// `merge_slashes`
    pub(crate) merges_slashes: bool,
    /// Where admin listens.
    pub(crate) admin: Option<SocketAddr>,
    /// Where clients connect.
    pub(crate) own: Vec<SocketAddr>,
    /// What files of keys held before they were read.
    pub(crate) held: Held,
    /// As configured: 0 is one for each core.
    configured_workers: usize,
    /// What the program has registered in code.
    pub(crate) registered: Registered,
    upstreams: HashSet<&'a str>,
    upstream_tables: Option<&'a Table>,
    stores: HashSet<&'a str>,
    limits: HashSet<&'a str>,
    limit_tables: Option<&'a Table>,
    providers: HashSet<&'a str>,
    provider_tables: Option<&'a Table>,
    listeners: Option<&'a Node>,
    policies: &'a Policies,
    policy_names: HashSet<&'a str>,
    shared_route: Option<&'a Table>,
    shared_upstream: Option<&'a Table>,
    /// Read once, and only if somebody needs them.
    system_roots: OnceCell<Result<Arc<RootCertStore>, String>>,
    /// Certificates with their keys that have been read, by their files.
    pairs: RefCell<HashMap<[PathBuf; 2], Pair>>,
    /// Addresses that were written as URLs; with TLS or not.
    schemes: HashMap<String, bool>,
    /// Routes that everybody may use though it was not said that this is meant: where each is, and its name.
    pub(crate) open_to_all: Vec<(Span, String)>,
    /// Tables of the file of which nobody knows what they hold: something else is written there, or none is, beside
    /// keys of which one is perhaps meant.
    unread: Vec<&'static str>,
    /// What policies put away of each other, as far as that was told: many routes may name the same.
    told_replaced: HashSet<Replaced>,
}

impl<'a> Context<'a> {
    /// A check of this tree.
    pub(crate) fn new(
        (root, policies): (&'a Table, &'a Policies),
        report: Report,
        complete: bool,
        sources: &'a Sources,
        environment: &'a dyn Environment,
        purpose: Purpose,
    ) -> Self {
        let names = |table: Option<&'a Table>| {
            table.into_iter().flat_map(|table| &table.entries).map(|entry| entry.key.as_str()).collect()
        };
        let top = |key| root.get(key).and_then(Node::table);
        let shared = |key| top("defaults").and_then(|defaults| defaults.get(key)).and_then(Node::table);
        let reader = Reader::new(Some(root), None, &ROOT, Span::default());
        let server = reader.table("server");
        let has_unknown = reader.has_unknown();
        let is_unread = |key: &&'static str| match root.get(key) {
            Some(node) => node.table().is_none(),
            None => has_unknown,
        };
        let providers = top("identity").and_then(|identity| identity.get("providers")).and_then(Node::table);
        Self {
            complete,
            report,
            sources,
            environment,
            purpose,
            identity_headers: Vec::new(),
            screening: Screening::of(root, |route| policies.below(Some(route)).or(shared("route"))),
            merges_slashes: server.flag("merge_slashes"),
            admin: reader.table("admin").text("address").parse().ok(),
            own: addresses::of_listeners(&reader),
            held: Held::default(),
            configured_workers: server.integer("workers"),
            registered: Registered::default(),
            upstreams: names(top("upstreams")),
            upstream_tables: top("upstreams"),
            stores: names(top("stores")),
            limits: names(top("rate_limits")),
            limit_tables: top("rate_limits"),
            providers: names(providers),
            provider_tables: providers,
            listeners: root.get("listeners"),
            policies,
            policy_names: names(top("policies")),
            shared_route: shared("route"),
            shared_upstream: shared("upstream"),
            system_roots: OnceCell::new(),
            pairs: RefCell::default(),
            schemes: HashMap::new(),
            open_to_all: Vec::new(),
            unread: ["upstreams", "rate_limits", "policies", "stores"].into_iter().filter(is_unread).collect(),
            told_replaced: HashSet::new(),
        }
    }

    /// What a table of this kind takes from others where it says nothing itself: `[defaults.*]`, and what a route names
    /// of `[policies.*]`.
    pub(crate) fn shared(&self, def: &TableDef, own: Option<&Table>) -> Option<&'a Table> {
        if std::ptr::eq(def, &ROUTE) {
            self.policies.below(own).or(self.shared_route)
        } else if std::ptr::eq(def, &UPSTREAM) {
            self.shared_upstream
        } else {
            None
        }
    }

    /// A table of edits as `[defaults.route]` has it.
    pub(crate) fn shared_edits(&self, table: &str) -> Option<&'a Table> {
        self.shared_route?.get(table)?.table()
    }

    /// What of a route's policies does not hold since a later one says something else, as far as it was not told of
    /// another route.
    pub(crate) fn replaced(&mut self, route: &Reader<'_>) -> Vec<Replaced> {
        let told = &mut self.told_replaced;
        self.policies.replaced(route.written()).filter(|one| told.insert((*one).clone())).cloned().collect()
    }

    /// The path that a key names.
    pub(crate) fn path(&self, node: &Node) -> Option<PathBuf> {
        Some(self.sources.resolve(node.text()?, node.at))
    }

    /// The same, if there is a file that can be read; else that has been said where the key was checked.
    pub(crate) fn file(&self, node: &Node) -> Option<PathBuf> {
        self.path(node).filter(|path| path.is_file() && std::fs::File::open(path).is_ok())
    }

    /// Whom the system trusts to sign certificates.
    ///
    /// # Errors
    /// It trusts nobody, or does not say whom.
    pub(crate) fn system_roots(&self) -> Result<Arc<RootCertStore>, String> {
        self.system_roots.get_or_init(certificates::system_roots).clone()
    }

    /// A chain and the key of its first certificate. Files are read once: what is put in force is what was looked at,
    /// also where they are being written meanwhile.
    ///
    /// # Errors
    /// As of [`certificates::with_key`].
    pub(crate) fn certificate(&self, cert: &Path, key: &Path) -> Pair {
        let files = [cert.to_path_buf(), key.to_path_buf()];
        let read = || certificates::with_key(cert, key);
        self.pairs.borrow_mut().entry(files).or_insert_with(read).clone()
    }

    /// Whether this address was written as a URL before, and otherwise.
    pub(crate) fn other_scheme(&mut self, authority: &str, tls: bool) -> bool {
        *self.schemes.entry(authority.to_owned()).or_insert(tls) != tls
    }

    /// Whether some upstream is written as a URL.
    pub(crate) fn has_url_upstreams(&self) -> bool {
        !self.schemes.is_empty()
    }

    /// Whether anyone proves identities.
    pub(crate) fn has_providers(&self) -> bool {
        !self.providers.is_empty()
    }

    /// How many workers there would be here.
    pub(crate) fn workers(&self) -> usize {
        match self.configured_workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        }
    }

    /// An upstream, with what all share.
    pub(crate) fn upstream(&self, name: &str) -> Option<Reader<'a>> {
        let node = self.upstream_tables?.get(name)?;
        Some(Reader::new(Some(node.table()?), self.shared_upstream, &UPSTREAM, node.at))
    }

    /// A provider, as written.
    pub(crate) fn provider(&self, name: &str) -> Option<&'a Table> {
        self.provider_tables?.get(name)?.table()
    }

    /// The `kind` of a provider.
    pub(crate) fn provider_kind(&self, name: &str) -> Option<&'a str> {
        self.provider(name)?.get("kind")?.text()
    }

    /// The headers that carry credentials of some provider, in lower case, beside `authorization` and `cookie`.
    pub(crate) fn credential_headers(&self) -> Vec<String> {
        let header = |provider: &Table| {
            let written = provider.get("header").and_then(Node::text);
            let is_api_key = provider.get("kind").and_then(Node::text) == Some("api_key");
            written.or(is_api_key.then_some("x-api-key")).map(str::to_ascii_lowercase)
        };
        let of_token = |node: &Node| node.text()?.strip_prefix("header:").map(str::to_ascii_lowercase);
        let providers = self.provider_tables.into_iter().flat_map(|tables| &tables.entries);
        let tables = providers.filter_map(|entry| entry.node.table());
        tables
            .flat_map(|provider| {
                let places = provider.get("token_from").and_then(Node::list).unwrap_or(&[]);
                header(provider).into_iter().chain(places.iter().filter_map(of_token))
            })
            .collect()
    }

    /// Whether a provider reads credentials from this header.
    pub(crate) fn carries_credentials(&self, name: &HeaderName) -> bool {
        self.credential_headers().iter().any(|header| header == name.as_str())
    }

    /// What a limit counts by, where that has to be proven, and it has no word of its own on who proves nothing.
    pub(crate) fn limit_by_identity(&self, name: &str) -> Option<&'a str> {
        let limit = self.limit_tables?.get(name)?.table()?;
        let key = limit.get("key")?.text()?;
        let proven = key == "subject" || key.starts_with("claim:");
        (proven && limit.get("anonymous").is_none()).then_some(key)
    }

    /// Whether proxies before the gateway are named, which may end TLS there.
    pub(crate) fn has_trusted_proxies(&self) -> bool {
        self.screening.trusts_proxies()
    }

    /// The address of a listener that speaks in the clear, and not on this machine or a private network alone; of these
    /// names, or of all where there are none.
    pub(crate) fn listens_in_the_clear(&self, names: &[String]) -> Option<SocketAddr> {
        let is_private = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
            IpAddr::V6(address) => {
                address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
            }
        };
        let listeners = self.listeners.and_then(Node::list).into_iter().flatten().filter_map(Node::table);
        let mut open = listeners.filter(|listener| listener.get("tls").is_none()).filter(|listener| {
            let name = listener.get("name").and_then(Node::text);
            names.is_empty() || name.is_some_and(|name| names.iter().any(|wanted| wanted == name))
        });
        open.find_map(|listener| {
            let address: SocketAddr = listener.get("address")?.text()?.parse().ok()?;
            (!is_private(address.ip())).then_some(address)
        })
    }

    /// Whether a listener asks clients for certificates.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        let tls = |listener: &'a Node| listener.table()?.get("tls")?.table()?.get("client_auth")?.text();
        let listeners = self.listeners.and_then(Node::list).into_iter().flatten();
        listeners.filter_map(tls).any(|client_auth| client_auth != "none")
    }

    /// How requests come to the gateway that is to serve this.
    pub(crate) fn doors(&self) -> Doors {
        let has_listeners = self.listeners.and_then(Node::list).is_some_and(|listeners| !listeners.is_empty());
        match self.registered.doors() {
            Doors::Unsaid if has_listeners => Doors::Own,
            Doors::Unsaid => Doors::Mounted,
            said => said,
        }
    }

    /// Whether listeners that ask clients for certificates differ in who signs these.
    pub(crate) fn believes_several(&self) -> bool {
        let tls = |listener: &'a Node| listener.table()?.get("tls")?.table();
        let asks = |tls: &&Table| tls.get("client_auth").and_then(Node::text).is_some_and(|auth| auth != "none");
        let listeners = self.listeners.and_then(Node::list).into_iter().flatten();
        let mut signers = listeners.filter_map(tls).filter(asks).filter_map(|tls| self.path(tls.get("client_ca")?));
        signers.next().is_some_and(|first| signers.any(|other| other != first))
    }

    /// Reports a name of no upstream.
    pub(crate) fn upstream_exists(&mut self, node: &Node) {
        let message = self.known(node, "upstream", ("upstreams", &self.upstreams), "a table [upstreams.NAME]");
        self.unknown(node, message);
    }

    /// Reports a name of no provider.
    pub(crate) fn provider_exists(&mut self, node: &Node) {
        let message = known(node, "identity provider", &self.providers, "a table [identity.providers.NAME]");
        self.unknown(node, message);
    }

    /// Reports a name of no listener.
    pub(crate) fn listener_exists(&mut self, node: &Node) {
        let name = |listener: &'a Node| listener.table()?.get("name")?.text();
        let names = self.listeners.and_then(Node::list).into_iter().flatten().filter_map(name).collect();
        let message = known(node, "listener", &names, "[[listeners]] with this `name`");
        self.unknown(node, message);
    }

    /// Reports a name of no rate limit.
    pub(crate) fn limit_exists(&mut self, node: &Node) {
        let message = self.known(node, "rate limit", ("rate_limits", &self.limits), "a table [rate_limits.NAME]");
        self.unknown(node, message);
    }

    /// Reports a name of no policy.
    pub(crate) fn policy_exists(&mut self, node: &Node) {
        let message = self.known(node, "policy", ("policies", &self.policy_names), "a table [policies.NAME]");
        self.unknown(node, message);
    }

    /// Reports a name that is neither `local` nor a store's.
    pub(crate) fn store_exists(&mut self, node: &Node) {
        if node.text() != Some("local") {
            let message = self.known(node, "store", ("stores", &self.stores), "`local`, or a table [stores.NAME]");
            self.unknown(node, message);
        }
    }

    /// Reports a name under which the program has registered nothing. Where it registers nothing at all and is not to
    /// serve, it is perhaps another program's configuration that is looked at.
    pub(crate) fn is_registered(&mut self, kind: PluginKind, node: &Node) {
        if let Some(name) = node.text() {
            self.is_registered_as(kind, name, node.at);
        }
    }

    /// The same of a name that is only a part of what is written there.
    pub(crate) fn is_registered_as(&mut self, kind: PluginKind, name: &str, at: Span) {
        // What is no name at all has been reported as such.
        if (NAME.check)(name).is_err() {
            return;
        }
        match self.registered.lacks(kind, name) {
            Some((message, help)) if self.purpose != Purpose::Run && !self.registered.is_open() => {
                self.report.warning(at, message, help);
            }
            Some((message, help)) => self.report.error_with(at, message, help),
            None => {}
        }
    }

    /// A file or a folder that is named is not here, or cannot be read: an error, unless that is looked at elsewhere
    /// than where it is to be served.
    pub(crate) fn is_not_here(&mut self, at: Span, message: String, help: Option<&str>) {
        if self.purpose == Purpose::CheckElsewhere {
            let help = "nothing that hangs on it was checked; where the configuration is served it has to be there";
            self.report.warning(at, message, help);
        } else {
            self.report.error_maybe(at, message, help.map(str::to_owned));
        }
    }

    /// The same as [`known`] where these are the names of a table of the file; none is missed where nobody knows them.
    fn known(
        &self,
        node: &Node,
        what: &str,
        (table, names): (&'static str, &HashSet<&str>),
        place: &str,
    ) -> Option<(String, Option<String>)> {
        if self.unread.contains(&table) { None } else { known(node, what, names, place) }
    }

    fn unknown(&mut self, node: &Node, message: Option<(String, Option<String>)>) {
        if let Some((message, help)) = message {
            self.report.error_maybe(node.at, message, help);
        }
    }
}

fn known(node: &Node, what: &str, names: &HashSet<&str>, place: &str) -> Option<(String, Option<String>)> {
    let name = node.text()?;
    // What is no name at all has been reported as such.
    if names.contains(name) || (NAME.check)(name).is_err() {
        return None;
    }
    let mut sorted: Vec<&str> = names.iter().copied().collect();
    sorted.sort_unstable();
    let help = did_you_mean(name, sorted.into_iter()).unwrap_or_else(|| format!("it needs {place}"));
    Some((format!("unknown {what} {}", quoted(node.shown())), Some(help)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProcessEnvironment;

    #[test]
    fn a_certificate_that_was_looked_at_is_what_is_used_whatever_is_written_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["a.pem", "a.key"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let (root, sources, environment) = (Table::default(), Sources::default(), ProcessEnvironment);
        let policies = Policies::of(&root);
        let again =
            || Context::new((&root, &policies), Report::default(), true, &sources, &environment, Purpose::Check);
        let context = again();
        let looked_at = context.certificate(&cert, &key).unwrap();
        std::fs::write(&key, "-----BEGIN").unwrap();
        assert!(Arc::ptr_eq(&context.certificate(&cert, &key).unwrap(), &looked_at));
        let next = again();
        assert!(matches!(next.certificate(&cert, &key), Err(Fault::Key(_))));
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(next.certificate(&cert, &key).is_err(), "so is a fault");
    }
}
