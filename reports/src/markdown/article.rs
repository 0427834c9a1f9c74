//! The article's claims: one table in the article's order, and what each was measured by.

use super::{line, plain};
use crate::quantity::{claim_interval, claim_value};
use crate::result::{Claim, ClaimFigure, ResultFile};

/// The table, and the configurations behind it.
pub(super) fn claims(result: &ResultFile, text: &mut String) {
    if result.claims.is_empty() {
        return;
    }
    line(text, "\n| | section | claim | figure | value | interval | verdict |\n|---|---|---|---|---:|---|---|");
    for claim in &result.claims {
        let shown = shown(claim);
        let verdict = format!("**{}**", claim.verdict);
        let head = [claim.id.clone(), claim.section.clone(), plain(&claim.claim)];
        for (index, figure) in shown.iter().enumerate() {
            let head = if index == 0 { head.clone() } else { Default::default() };
            let tail = if index == 0 { verdict.as_str() } else { "" };
            let cells = [plain(&figure.name), claim_value(figure), claim_interval(figure)];
            line(text, &format!("| {} | {} | {tail} |", head.join(" | "), cells.join(" | ")));
        }
        if shown.is_empty() {
            line(text, &format!("| {} | {} | | | {verdict} |", head.join(" | "), plain(&claim.why)));
        }
    }
    for claim in &result.claims {
        line(text, &format!("\n**{}** {}: {}", claim.id, plain(&claim.system), plain(&claim.why)));
        text.push('\n');
        line(text, &format!("- {}", plain(&claim.experiment)));
        for told in claim.configuration.iter().chain(&claim.notes) {
            line(text, &format!("- {}", plain(told)));
        }
    }
}

/// What the claim stands or falls with; all figures where nothing is marked as that.
fn shown(claim: &Claim) -> Vec<&ClaimFigure> {
    let core: Vec<&ClaimFigure> = claim.figures.iter().filter(|figure| figure.core).collect();
    if core.is_empty() { claim.figures.iter().collect() } else { core }
}
