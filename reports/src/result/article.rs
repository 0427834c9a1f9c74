//! The claims of the article, each with what was measured of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One claim, and what came of its experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Claim {
    /// Its id: `A1`.
    pub id: String,
    /// The sections of the article that make it.
    pub section: String,
    /// What it says, in short.
    pub claim: String,
    /// What of this project it is about.
    pub system: String,
    /// What was done.
    pub experiment: String,
    /// What follows.
    pub verdict: ClaimVerdict,
    /// Why, in a sentence.
    pub why: String,
    /// What was drawn from the results, the core of the claim first.
    pub figures: Vec<ClaimFigure>,
    /// How it was measured, line by line.
    pub configuration: Vec<String>,
    /// What to know of it: what is missing, what was not valid.
    pub notes: Vec<String>,
    /// What is drawn.
    pub plots: Vec<ClaimPlot>,
    /// How long it took.
    pub seconds: f64,
    /// When it was measured: RFC 3339, UTC.
    pub measured_at: String,
    /// The build that was measured, and how thoroughly.
    pub build: String,
}

/// What follows of a claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// All that was asked of it holds.
    Holds,
    /// Some of it does.
    HoldsInPart,
    /// It does not.
    DoesNotHold,
    /// Nothing follows.
    #[default]
    NotMeasured,
}

impl ClaimVerdict {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Holds, Self::HoldsInPart, Self::DoesNotHold, Self::NotMeasured];

    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsInPart => "holds in part",
            Self::DoesNotHold => "does not hold",
            Self::NotMeasured => "not measured",
        }
    }
}

impl fmt::Display for ClaimVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One figure, with its interval or as an exact count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClaimFigure {
    /// What it is of.
    pub name: String,
    /// The unit of all its numbers.
    pub unit: Unit,
    /// The estimate; `None` where nothing was measured.
    pub value: Option<f64>,
    /// Lower end of the interval; of an exact figure the least of all runs.
    pub ci_low: Option<f64>,
    /// Upper end; of an exact figure the most of all runs.
    pub ci_high: Option<f64>,
    /// How often such an interval holds the truth; `None` of an exact figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// It is a count or an exact replay, not an estimate.
    pub exact: bool,
    /// Rounds or runs that it is from.
    pub rounds: u32,
    /// What is asked of it; empty when it only informs.
    pub wanted: String,
    /// The claim stands or falls with it.
    pub core: bool,
    /// Whether it is as wanted; `None` when it only informs, or the interval does not decide.
    pub holds: Option<bool>,
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    #[default]
    Number,
    /// A ratio.
    Times,
    /// A share of one.
    Share,
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// So many a second.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
}

/// One plot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClaimPlot {
    /// What it shows, in a sentence.
    pub caption: String,
    /// What its axis below is of; empty where points stand for themselves, by their names.
    pub x: String,
    /// The axis below is logarithmic.
    pub x_log: bool,
    /// What is measured.
    pub y: String,
    /// The unit of that.
    pub unit: Unit,
    /// The axis of that is logarithmic.
    pub y_log: bool,
    /// What is compared.
    pub series: Vec<ClaimSeries>,
}

/// One series of a plot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClaimSeries {
    /// Its name.
    pub name: String,
    /// Its points.
    pub points: Vec<ClaimPoint>,
}

/// One point of a series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClaimPoint {
    /// Its name, where it stands for itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its place on the axis below.
    pub x: f64,
    /// The estimate.
    pub y: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}
