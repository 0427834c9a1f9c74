//! `request_query` of a route: what becomes of a request's query.

use super::header_edits::ValuePiece;

/// Edits of a query. Names are as they are once they are decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryEdits {
    /// Set, replacing what is there.
    pub set: Vec<Parameter>,
    /// Added to what is there.
    pub add: Vec<Parameter>,
    /// Removed.
    pub remove: Vec<Box<str>>,
    /// What alone passes of what a client sends; `None` = everything.
    pub keep: Option<Vec<Box<str>>>,
    /// What `[defaults.route]` edits and this does not, since what is written here stands in its place: for whoever
    /// asks why.
    pub lost: Vec<Box<str>>,
}

/// A parameter that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Box<str>,
    /// The pieces of its value, in order; none is the empty value.
    pub value: Box<[ValuePiece]>,
    /// A variable filled in some of it: people are not shown it.
    pub is_filled_in: bool,
}

impl QueryEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty() && self.keep.is_none()
    }
}

impl Parameter {
    /// Whether its value is made for each request.
    pub fn is_made(&self) -> bool {
        self.value.iter().any(|piece| !matches!(piece, ValuePiece::Literal(_)))
    }
}

/// `keeps a, b alone; sets c; adds d; removes e`
impl std::fmt::Display for QueryEdits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |list: &[Parameter]| list.iter().map(|one| &*one.name).collect::<Vec<_>>().join(", ");
        let kept = self.keep.as_ref().map(|kept| match kept.as_slice() {
            [] => "keeps nothing".to_owned(),
            kept => format!("keeps {} alone", kept.join(", ")),
        });
        let set = (!self.set.is_empty()).then(|| format!("sets {}", names(&self.set)));
        let added = (!self.add.is_empty()).then(|| format!("adds {}", names(&self.add)));
        let removed = (!self.remove.is_empty()).then(|| format!("removes {}", self.remove.join(", ")));
        let lost = (!self.lost.is_empty()).then(|| format!("without {} of [defaults.route]", self.lost.join(", ")));
        let told: Vec<String> = [kept, set, added, removed, lost].into_iter().flatten().collect();
        f.write_str(&told.join("; "))
    }
}
