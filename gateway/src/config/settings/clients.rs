//! `clients` of a route: the networks in which a request's client has to be.

use ipnet::IpNet;

/// Networks of clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients {
    /// Those of them that count; empty = any.
    pub within: Vec<IpNet>,
    /// Those that do not, also where `within` has them: written with a `!`.
    pub but: Vec<IpNet>,
}

impl Clients {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.within.is_empty() && self.but.is_empty()
    }
}

/// `10.0.0.0/8, but 10.1.0.0/16`
impl std::fmt::Display for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (&*self.within, &*self.but) {
            (within, []) => f.write_str(&list(within)),
            ([], but) => write!(f, "all but {}", list(but)),
            (within, but) => write!(f, "{}, but not {}", list(within), list(but)),
        }
    }
}
