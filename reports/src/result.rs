//! The types of a result file. Latencies are microseconds, from the intended send time.
//!
//! Sections that later kinds of run add are kept as they are in [`ResultFile::other`], so that an older reader loses
//! nothing of a newer file of the same version. Of scenarios, what the contract names without a question mark is always
//! written, empty or `null` where there is nothing to tell; what came later is absent then.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod article;
mod gate;
mod gateway;
mod load;
mod machine;
mod peers;
mod read;
mod resilience;
mod search;
mod timeline;

pub use article::{Claim, ClaimFigure, ClaimPlot, ClaimPoint, ClaimSeries, ClaimVerdict, Unit};
pub use gate::{GateMetric, Pair, SelfTest, SelfTestCase};
pub use gateway::{Balance, Gateway, Retries, Rss};
pub use load::{AddedQuantiles, Journey, Load, Phase, Quantiles};
pub use machine::{Environment, Lag, Validity};
pub use peers::{Compared, Peer, Ratio, ratio_title};
pub use read::ReadError;
pub use resilience::{Breaker, Limiter, LimiterPhase, Transition};
pub(crate) use search::weight;
pub use search::{Capacity, CapacityStep, Explore, FailedSeed, SuiteScenario};
pub use timeline::Moment;

/// The version that is written, and the only one that is read.
pub const SCHEMA_VERSION: u32 = 1;

/// The JSON Schema of a result file, as it is committed; [`schema`] makes it.
pub const SCHEMA: &str = include_str!("../schema/result.schema.json");

/// One `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Portcullis result")]
pub struct ResultFile {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema_version: u32,
    /// What kind of run wrote it.
    pub kind: Kind,
    /// The run's name.
    pub name: String,
    /// The seed that everything random was drawn from; of a suite, see those of its scenarios.
    pub seed: u64,
    /// The commit measured; empty when unknown.
    pub commit: String,
    /// RFC 3339, UTC.
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$"))]
    pub started_at: String,
    /// The command line.
    pub command: String,
    /// How long it took, seconds; in virtual time, how long its world lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Where it was measured.
    pub environment: Environment,
    /// Whether it can be believed.
    pub validity: Validity,
    /// Each load by name.
    #[serde(default)]
    pub load: BTreeMap<String, Load>,
    /// Each gateway instance by number.
    #[serde(default)]
    pub gateway: BTreeMap<String, Gateway>,
    /// Breakers by `upstream/endpoint`.
    #[serde(default)]
    pub breakers: BTreeMap<String, Breaker>,
    /// Rate limits by rule.
    #[serde(default)]
    pub limiters: BTreeMap<String, Limiter>,
    /// Balance by upstream.
    #[serde(default)]
    pub balance: BTreeMap<String, Balance>,
    /// What retries did.
    #[serde(default)]
    pub retries: Option<Retries>,
    /// Latency against load, by load.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity: BTreeMap<String, Capacity>,
    /// Rounds of a gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
    /// What a gate says of each metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, GateMetric>,
    /// The gate measured by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// Many seeds in virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<Explore>,
    /// Each scenario of a suite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<SuiteScenario>,
    /// The same scenario through several gateways, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compare: BTreeMap<String, Compared>,
    /// Each peer by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, Peer>,
    /// The article's claims, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// Figures over time.
    #[serde(default)]
    pub timeline: Vec<Moment>,
    /// What was expected, and whether it holds.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
    /// The run's verdict.
    pub verdict: Verdict,
    /// Sections that this version of the reader has no types for.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What kind of run wrote a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A scenario.
    Run,
    /// The load generator alone.
    Load,
    /// The demonstration.
    Demo,
    /// Many seeds in virtual time.
    Explore,
    /// Base against head.
    Gate,
    /// The gate measured by itself.
    SelfTest,
    /// A scenario against other gateways.
    Compare,
    /// The same work through other gateways.
    Peers,
    /// The figures of the article.
    Article,
    /// What a request costs when there is more of something.
    Growth,
    /// Many scenarios.
    Suite,
}

/// What a run concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything expected holds.
    Pass,
    /// Something expected does not hold.
    Fail,
    /// The figures do not decide.
    Inconclusive,
    /// The figures cannot be believed.
    Invalid,
}

/// One expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// The figure's name.
    pub figure: String,
    /// Its bound, in words.
    pub bound: String,
    /// Its value; `None` where there is none, as the trip time of a breaker that never tripped.
    #[serde(default)]
    pub value: Option<f64>,
    /// Whether the bound holds.
    pub holds: bool,
}

/// The JSON Schema of the types of this module, as text with a line end at its end.
#[must_use]
pub fn schema() -> String {
    let schema =
        schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ResultFile>();
    json_text(&schema)
}

fn json_text(value: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(value)
        .unwrap_or_else(|error| unreachable!("plain data with text keys is always JSON: {error}"));
    format!("{json}\n")
}

impl Default for ResultFile {
    /// An empty scenario run, of today's version, that is invalid until someone judges it.
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            kind: Kind::Run,
            name: String::new(),
            seed: 0,
            commit: String::new(),
            started_at: String::new(),
            command: String::new(),
            seconds: None,
            environment: Environment::default(),
            validity: Validity::default(),
            load: BTreeMap::new(),
            gateway: BTreeMap::new(),
            breakers: BTreeMap::new(),
            limiters: BTreeMap::new(),
            balance: BTreeMap::new(),
            retries: None,
            capacity: BTreeMap::new(),
            pairs: Vec::new(),
            metrics: BTreeMap::new(),
            self_test: None,
            explore: None,
            scenarios: Vec::new(),
            compare: BTreeMap::new(),
            peers: BTreeMap::new(),
            claims: Vec::new(),
            timeline: Vec::new(),
            expectations: Vec::new(),
            verdict: Verdict::Invalid,
            other: Map::new(),
        }
    }
}
