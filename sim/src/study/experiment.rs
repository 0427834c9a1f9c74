//! What an experiment is: arms that are run in rounds, figures that are drawn from them, and what is asked of those.
//!
//! All of it is data. Nothing here runs, measures or judges.

use std::path::Path;

use reports::result::Unit;
use serde_json::Value;

/// A claim of the article, and the experiment that it is held against.
#[derive(Debug)]
pub struct Claim {
    /// Its id: `A1`.
    pub id: &'static str,
    /// The sections of the article that make it; empty for what this project itself promises.
    pub section: &'static str,
    /// What it says, in short.
    pub claim: &'static str,
    /// What of this project it is about.
    pub system: &'static str,
    /// What is done, in a sentence.
    pub experiment: &'static str,
    /// How often each arm is run: with `--quick`, and without.
    pub rounds: (u32, u32),
    /// What is run.
    pub arms: &'static [Arm],
    /// What is drawn from it.
    pub figures: &'static [Figure],
    /// What is drawn as a plot.
    pub plots: &'static [Plot],
    /// What of the claim is not measured here, and why.
    pub missing: &'static [&'static str],
}

/// One way of doing the work; arms of a claim take turns.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// Its name, to which figures refer.
    pub name: &'static str,
    /// Its place on the axis of a sweep.
    pub x: f64,
    /// It has no part in `--quick`.
    pub is_slow: bool,
    /// With `--quick` its first round is enough: nothing that is drawn from it is an estimate.
    pub is_once: bool,
    /// What comes to it while it has its turn.
    pub load: Load,
    /// What it does.
    pub work: Work,
}

/// What comes to those that have turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Connections that send one request after the other.
    pub connections: usize,
    /// Connections beside them that have carried one request, and are open.
    pub idle: usize,
    /// Bytes of each answer.
    pub body: u64,
}

impl Load {
    /// As published comparisons have it.
    pub const USUAL: Self = Self { connections: 64, idle: 0, body: 512 };
}

/// Figures out of what a run wrote into its folder.
pub type Also = fn(&Path) -> Result<Value, String>;

/// What an arm does in a round.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Runs a scenario.
    Scenario {
        /// Its file, in the folder of the scenarios.
        file: &'static str,
        /// What is other than in the file and its gateway's configuration.
        edits: &'static [Edit],
        /// Adds figures from what the run wrote into its folder.
        also: Option<Also>,
    },
    /// Has its turn in front of a mock: our gateway with a configuration.
    Turn {
        /// The configuration's file, in the folder of the scenarios.
        config: &'static str,
        /// What is other in it.
        edits: &'static [Edit],
        /// How often a line of it stands that names `{n}`.
        copies: usize,
        /// What its requests carry.
        headers: &'static [(&'static str, &'static str)],
    },
    /// Has its turn in front of the same mock: another gateway, by its name.
    Peer(&'static str),
    /// Computes in this process.
    Here(fn(&Terms) -> Result<Value, String>),
}

/// On what terms something is computed here.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The seed of this round.
    pub seed: u64,
    /// There is little time.
    pub is_quick: bool,
}

/// A text that takes the place of another one, wherever that stands.
#[derive(Debug, Clone, Copy)]
pub struct Edit(pub &'static str, pub &'static str);

/// A figure, and what is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// What it is of.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: Unit,
    /// What decides.
    pub kind: Kind,
    /// How it is drawn from the arms.
    pub draw: Draw,
    /// The least that is wanted.
    pub min: Option<f64>,
    /// The most that is wanted.
    pub max: Option<f64>,
    /// The claim stands or falls with it.
    pub is_core: bool,
}

/// What of a figure decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An estimate out of valid rounds, by its interval: one round decides nothing.
    Estimate,
    /// A count or an exact replay, by the worst run: load that was late does no harm.
    Exact,
    /// A time that is not to be exceeded, by the worst run of those that are valid: one is enough.
    Bound,
}

/// How a figure is drawn from the samples of one round.
#[derive(Debug, Clone, Copy)]
pub enum Draw {
    /// An arm's figure, by its dotted name.
    Of(&'static str, &'static str),
    /// The one over the other.
    Ratio(&'static Self, &'static Self),
    /// The one less the other.
    Less(&'static Self, &'static Self),
    /// All together.
    Sum(&'static [Self]),
    /// The largest of all.
    Most(&'static [Self]),
    /// The smallest of all.
    Least(&'static [Self]),
    /// So many times it.
    Times(f64, &'static Self),
    /// What is missing to one.
    Rest(&'static Self),
}

/// A plot over arms.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    /// What it shows.
    pub caption: &'static str,
    /// What the axis below is of, and whether it is logarithmic; with an empty name each arm has a row of its own.
    pub x: (&'static str, bool),
    /// What is measured, and whether that axis is logarithmic.
    pub y: (&'static str, bool),
    /// The unit of what is measured.
    pub unit: Unit,
    /// What is compared.
    pub series: &'static [Series],
}

/// One series of a plot.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// Its name.
    pub name: &'static str,
    /// Its arms.
    pub arms: &'static [&'static str],
    /// Their figure.
    pub figure: &'static str,
    /// What the figure is multiplied by.
    pub scale: f64,
}

impl Arm {
    const fn new(name: &'static str, work: Work) -> Self {
        Self { name, x: 0.0, is_slow: false, is_once: false, load: Load::USUAL, work }
    }

    /// A scenario as it stands in its file but for the edits.
    pub const fn scenario(name: &'static str, file: &'static str, edits: &'static [Edit]) -> Self {
        Self::new(name, Work::Scenario { file, edits, also: None })
    }

    /// Our gateway with a configuration.
    pub const fn turn(
        name: &'static str,
        config: &'static str,
        edits: &'static [Edit],
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self::new(name, Work::Turn { config, edits, copies: 1, headers })
    }

    /// Another gateway.
    pub const fn peer(name: &'static str) -> Self {
        Self::new(name, Work::Peer(name))
    }

    /// Another gateway, in an arm that has a name of its own.
    pub const fn peer_as(name: &'static str, peer: &'static str) -> Self {
        Self::new(name, Work::Peer(peer))
    }

    /// A computation.
    pub const fn here(name: &'static str, work: fn(&Terms) -> Result<Value, String>) -> Self {
        Self::new(name, Work::Here(work))
    }

    /// With figures from what the run wrote.
    pub const fn also(self, also: Also) -> Self {
        match self.work {
            Work::Scenario { file, edits, .. } => {
                Self { work: Work::Scenario { file, edits, also: Some(also) }, ..self }
            }
            _ => self,
        }
    }

    /// With lines that stand so often.
    pub const fn copies(self, copies: usize) -> Self {
        match self.work {
            Work::Turn { config, edits, headers, .. } => {
                Self { work: Work::Turn { config, edits, copies, headers }, ..self }
            }
            _ => self,
        }
    }

    /// Over so many connections.
    pub const fn over(self, connections: usize) -> Self {
        Self { load: Load { connections, ..self.load }, ..self }
    }

    /// Beside so many idle connections.
    pub const fn beside(self, idle: usize) -> Self {
        Self { load: Load { idle, ..self.load }, ..self }
    }

    /// With answers of so many bytes.
    pub const fn of_bytes(self, body: u64) -> Self {
        Self { load: Load { body, ..self.load }, ..self }
    }

    /// At this place of a sweep.
    pub const fn at(self, x: f64) -> Self {
        Self { x, ..self }
    }

    /// Left out with `--quick`.
    pub const fn slow(self) -> Self {
        Self { is_slow: true, ..self }
    }

    /// Run once with `--quick`.
    pub const fn once(self) -> Self {
        Self { is_once: true, ..self }
    }
}

impl Figure {
    /// An estimate, with an interval over rounds.
    pub const fn timed(name: &'static str, unit: Unit, draw: Draw) -> Self {
        Self { name, unit, kind: Kind::Estimate, draw, min: None, max: None, is_core: false }
    }

    /// A count or an exact replay.
    pub const fn exact(name: &'static str, unit: Unit, draw: Draw) -> Self {
        Self { kind: Kind::Exact, ..Self::timed(name, unit, draw) }
    }

    /// A time that no valid run may exceed.
    pub const fn bounded(name: &'static str, unit: Unit, draw: Draw) -> Self {
        Self { kind: Kind::Bound, ..Self::timed(name, unit, draw) }
    }

    /// Something is asked of it.
    pub fn is_asked(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    /// At least so much is wanted.
    pub const fn least(self, min: f64) -> Self {
        Self { min: Some(min), ..self }
    }

    /// At most so much is wanted.
    pub const fn most(self, max: f64) -> Self {
        Self { max: Some(max), ..self }
    }

    /// The claim stands or falls with it.
    pub const fn core(self) -> Self {
        Self { is_core: true, ..self }
    }
}

impl Draw {
    /// Every arm and figure of it that it is drawn from.
    pub fn parts(&self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Of(arm, name) => vec![(arm, name)],
            Self::Ratio(one, other) | Self::Less(one, other) => [one.parts(), other.parts()].concat(),
            Self::Sum(all) | Self::Most(all) | Self::Least(all) => all.iter().flat_map(Self::parts).collect(),
            Self::Times(_, one) | Self::Rest(one) => one.parts(),
        }
    }
}

impl Claim {
    /// Every figure of an arm that something is drawn from.
    pub fn names_of(&self, arm: &str) -> Vec<&'static str> {
        let parts = self.figures.iter().flat_map(|figure| figure.draw.parts());
        let mut names: Vec<&str> = parts.filter(|(of, _)| *of == arm).map(|(_, name)| name).collect();
        let series = self.plots.iter().flat_map(|plot| plot.series).filter(|series| series.arms.contains(&arm));
        names.extend(series.map(|series| series.figure));
        names.sort_unstable();
        names.dedup();
        names
    }
}
