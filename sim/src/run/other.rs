//! Another program in the place of the gateways: what a run asks of it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;

use super::error::RunError;
use crate::children::Child;

/// Where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Which of the run's gateways, from 0.
    pub(crate) number: usize,
    /// Each endpoint by its name in the scenario: `orders/0`.
    pub(crate) endpoints: &'a BTreeMap<String, SocketAddr>,
    /// The address that it had before, when it is started again.
    pub(crate) listener: Option<SocketAddr>,
    /// Where its files go.
    pub(crate) folder: &'a Path,
    /// Cores that it may use; empty means all.
    pub(crate) cores: &'a [usize],
}

/// A gateway that is not ours. It tells nothing of its decisions, so clients and mocks alone say what it did.
pub(crate) trait Other: Debug + Send + Sync {
    /// What it is called in results.
    fn name(&self) -> &str;

    /// What it says of itself.
    fn version(&self) -> &str;

    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve.
    fn start(&self, place: Place<'_>) -> Result<Child, RunError>;

    /// Lets it read its configuration anew. The process that serves from now on, where that is another one.
    ///
    /// # Errors
    /// When it cannot be told.
    fn reload(&self, child: &Child, place: Place<'_>) -> Result<Option<Child>, RunError>;

    /// Tells the one with this number to finish what it has, and to end.
    ///
    /// # Errors
    /// When it cannot be told.
    fn drain(&self, child: &Child, number: usize) -> Result<(), RunError>;
}
