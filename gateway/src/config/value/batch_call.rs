//! What a batch calls, and the body that it sends: `/shops/{shop}/items:batch`, `{"ids": {ids}}`.

use crate::config::settings::batch::BatchPiece;

/// The placeholder of the ids.
const IDS: &str = "ids";

/// Reads a call's target, of which everything in braces is a placeholder. `parameters` are those of the batch's path.
///
/// # Errors
/// The name in braces that is neither.
pub(crate) fn target(text: &str, parameters: &[&str]) -> Result<Vec<BatchPiece>, String> {
    let pieces = pieces(text, |name| Some(placeholder(name, parameters).ok_or_else(|| name.to_owned())));
    pieces.into_iter().collect()
}

/// Reads a body, of which braces are a part: only those are placeholders that have a known name between them.
pub(crate) fn body(text: &str, parameters: &[&str]) -> Vec<BatchPiece> {
    let pieces = pieces(text, |name| placeholder(name, parameters).map(Ok::<_, ()>));
    pieces.into_iter().filter_map(Result::ok).collect()
}

fn placeholder(name: &str, parameters: &[&str]) -> Option<BatchPiece> {
    if name == IDS {
        return Some(BatchPiece::Ids);
    }
    parameters.contains(&name).then(|| BatchPiece::Param(name.to_owned()))
}

/// Splits a text at its placeholders; `look` says what a name in braces is, and `None` where it is text.
fn pieces<E>(text: &str, look: impl Fn(&str) -> Option<Result<BatchPiece, E>>) -> Vec<Result<BatchPiece, E>> {
    let mut pieces = Vec::new();
    let (mut literal, mut at) = (0, 0);
    while let Some(open) = text[at..].find('{').map(|found| at + found) {
        // Of `{"a": {ids}}` it is the inner brace that is closed first.
        let name = text[open + 1..].split(['{', '}']).next().unwrap_or("");
        let close = open + 1 + name.len();
        let piece = text[close..].starts_with('}').then(|| look(name)).flatten();
        let Some(piece) = piece else {
            at = open + 1;
            continue;
        };
        if literal < open {
            pieces.push(Ok(BatchPiece::Literal(text[literal..open].to_owned())));
        }
        pieces.push(piece);
        (literal, at) = (close + 1, close + 1);
    }
    if literal < text.len() {
        pieces.push(Ok(BatchPiece::Literal(text[literal..].to_owned())));
    }
    pieces
}

/// The names that a JSON pointer (RFC 6901) leads by.
pub(crate) fn names(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

#[cfg(test)]
mod tests {
    use super::BatchPiece::{Ids, Literal, Param};
    use super::*;

    fn text(text: &str) -> BatchPiece {
        Literal(text.into())
    }

    #[test]
    fn targets_and_bodies_are_read_to_their_pieces() {
        let parameters = ["shop", "id"];
        assert_eq!(target("/items:batch", &parameters), Ok(vec![text("/items:batch")]));
        assert_eq!(
            target("/s/{shop}/i?ids={ids}&x=1", &parameters),
            Ok(vec![text("/s/"), Param("shop".into()), text("/i?ids="), Ids, text("&x=1")])
        );
        assert_eq!(target("/s/{other}", &parameters), Err("other".to_owned()));
        assert_eq!(body("", &parameters), []);
        assert_eq!(body("{\"ids\": {ids}}", &parameters), [text("{\"ids\": "), Ids, text("}")]);
        assert_eq!(
            body("{\"a\":{},\"b\":{\"in\":{ids}},\"c\":{shop},\"d\":{other}}", &parameters),
            [text("{\"a\":{},\"b\":{\"in\":"), Ids, text("},\"c\":"), Param("shop".into()), text(",\"d\":{other}}")]
        );
        assert_eq!(body("{ids", &parameters), [text("{ids")]);
        assert_eq!(body("{é{ids}", &parameters), [text("{é"), Ids]);
    }

    #[test]
    fn pointers_lead_by_names() {
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("/a~1b/0/~01"), ["a/b", "0", "~1"]);
        assert_eq!(names("/"), [""]);
    }
}
