//! Sections that this version has no types for: shown as they are, so that nothing of a result is hidden.

use maud::{Markup, html};

use super::section as page_section;
use crate::result::ResultFile;

/// The longest text of one section, characters.
const LONGEST: usize = 20_000;

/// Each section under its name, closed until someone asks.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    if result.other.is_empty() {
        return None;
    }
    let text = |value| {
        let whole = serde_json::to_string_pretty(value).unwrap_or_default();
        let shown: String = whole.chars().take(LONGEST).collect();
        if shown.len() < whole.len() { format!("{shown}\n… (the rest is in result.json)") } else { shown }
    };
    Some(page_section(
        "Also in the result",
        &html! {
            @for (name, value) in &result.other {
                details { summary { (name) } pre { code { (text(value)) } } }
            }
        },
    ))
}
