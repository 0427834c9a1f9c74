//! What the bodies of `problems` are for: a code, a status, or a class of statuses.

use http::StatusCode;

use crate::config::problem::nearest;
use crate::config::settings::problems::ProblemKey;
use crate::error::Code;

/// Reads `rate_limited`, `404` or `5xx`.
///
/// # Errors
/// It is none of them; the text names those that there are.
pub(crate) fn parse(text: &str) -> Result<ProblemKey, String> {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == text) {
        return Ok(ProblemKey::Code(*code));
    }
    match text {
        "4xx" => return Ok(ProblemKey::Class(4)),
        "5xx" => return Ok(ProblemKey::Class(5)),
        _ => {}
    }
    if text.len() == 3
        && let Ok(number @ 400..600) = text.parse::<u16>()
        && let Ok(status) = StatusCode::from_u16(number)
    {
        return Ok(ProblemKey::Status(status));
    }
    let codes = || Code::ALL.iter().map(|code| code.as_str());
    if let Some(near) = nearest(text, codes()) {
        return Err(format!("perhaps {near} is meant"));
    }
    let listed = codes().collect::<Vec<_>>().join(", ");
    Err(format!("a status is 400 to 599, a class 4xx or 5xx, and the codes are {listed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_statuses_and_classes_are_read_and_nothing_else() {
        assert_eq!(parse("rate_limited"), Ok(ProblemKey::Code(Code::RateLimited)));
        assert_eq!(parse("404"), Ok(ProblemKey::Status(StatusCode::NOT_FOUND)));
        assert_eq!(parse("5xx"), Ok(ProblemKey::Class(5)));
        assert_eq!(parse("rate_limit"), Err("perhaps rate_limited is meant".to_owned()));
        for wrong in ["", "3xx", "5XX", "200", "600", "+40", "0404", "x"] {
            let why = parse(wrong).unwrap_err();
            assert!(why.contains("4xx or 5xx") && why.contains("bad_request, unauthorized"), "{wrong}: {why}");
        }
    }
}
