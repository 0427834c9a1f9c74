//! What a part of an aggregate calls: `/offers/{id}?tier={user.tier}&page={query.page}`.

use crate::config::settings::aggregate::CallPiece;

/// Reads a call. `parameters` are those of the aggregate's path, `parts` the names of its parts in their order.
///
/// # Errors
/// The name in braces that is neither.
pub(crate) fn parse(text: &str, parameters: &[&str], parts: &[&str]) -> Result<Vec<CallPiece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, (name, after))) =
        rest.split_once('{').and_then(|(literal, open)| Some((literal, open.split_once('}')?)))
    {
        if !literal.is_empty() {
            pieces.push(CallPiece::Literal(literal.to_owned()));
        }
        pieces.push(placeholder(name, parameters, parts).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(CallPiece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

/// A parameter, or a part's name and what leads to a value of its answer, or else `query.` and the name of a parameter
/// of the client's query. A part's name may have dots of its own: the longest that fits is meant.
fn placeholder(name: &str, parameters: &[&str], parts: &[&str]) -> Option<CallPiece> {
    if parameters.contains(&name) {
        return Some(CallPiece::Param(name.to_owned()));
    }
    let path = |part: &str| name.strip_prefix(part)?.strip_prefix('.').filter(|path| !path.is_empty());
    let fits = parts.iter().enumerate().filter_map(|(number, part)| Some((part.len(), number, path(part)?)));
    let Some((_, number, path)) = fits.max_by_key(|(length, ..)| *length) else {
        let asked = name.strip_prefix("query.").filter(|asked| !asked.is_empty());
        return asked.map(|asked| CallPiece::Query(asked.to_owned()));
    };
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    names.iter().all(|name| !name.is_empty()).then_some(CallPiece::Value(number, names))
}

/// The first parameter of the client's query that is not the whole value of one of the call's: only as such it can be
/// left out together with its name, or be there several times.
pub(crate) fn misplaced(pieces: &[CallPiece]) -> Option<&str> {
    let mut in_query = false;
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            CallPiece::Literal(text) => in_query |= text.contains('?'),
            CallPiece::Query(name) => {
                let before = at.checked_sub(1).and_then(|before| pieces.get(before));
                let has_name = matches!(before, Some(CallPiece::Literal(text)) if names_a_parameter(text));
                let ends = match pieces.get(at + 1) {
                    None => true,
                    Some(CallPiece::Literal(text)) => text.starts_with('&'),
                    Some(_) => false,
                };
                if !(in_query && has_name && ends) {
                    return Some(name);
                }
            }
            CallPiece::Param(_) | CallPiece::Value(..) => {}
        }
    }
    None
}

/// Whether it ends in `?name=` or `&name=`.
fn names_a_parameter(text: &str) -> bool {
    let name = text.strip_suffix('=').and_then(|text| Some(&text[text.rfind(['?', '&'])? + 1..]));
    name.is_some_and(|name| !name.is_empty() && !name.contains('='))
}

/// A call's path with something in each placeholder, as it could be sent.
pub(crate) fn sample(text: &str) -> String {
    let path = &text[..end_of_path(text)];
    let mut filled = String::with_capacity(path.len());
    for (number, piece) in path.split('{').enumerate() {
        match piece.split_once('}') {
            Some((_, literal)) if number > 0 => {
                filled.push('x');
                filled.push_str(literal);
            }
            _ => filled.push_str(piece),
        }
    }
    filled
}

/// Where the query begins, which no name in braces does.
fn end_of_path(text: &str) -> usize {
    let mut within = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => within = true,
            '}' => within = false,
            '?' if !within => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_to_their_pieces() {
        let parse = |text| parse(text, &["id", "user.x"], &["user", "user.more", "orders"]);
        let literal = |text: &str| CallPiece::Literal(text.into());
        let value = |part, path: &[&str]| CallPiece::Value(part, path.iter().map(|name| (*name).into()).collect());
        assert_eq!(parse("/a"), Ok(vec![literal("/a")]));
        assert_eq!(
            parse("/u/{id}/x?t={user.tier}&n={orders.0.id}"),
            Ok(vec![
                literal("/u/"),
                CallPiece::Param("id".into()),
                literal("/x?t="),
                value(0, &["tier"]),
                literal("&n="),
                value(2, &["0", "id"]),
            ])
        );
        assert_eq!(parse("/{user.more.a}"), Ok(vec![literal("/"), value(1, &["a"])]), "the longest name");
        assert_eq!(parse("/{user.x}"), Ok(vec![literal("/"), CallPiece::Param("user.x".into())]), "parameters first");
        for (text, name) in [
            ("/{ID}", "ID"),
            ("/{user}", "user"),
            ("/{user.}", "user."),
            ("/{user.a..b}", "user.a..b"),
            ("/{query.}", "query."),
        ] {
            assert_eq!(parse(text), Err(name.to_owned()));
        }
    }

    #[test]
    fn a_parameter_of_the_query_is_a_whole_value() {
        let parse = |text| parse(text, &["id"], &["user", "query.own"]).unwrap();
        assert_eq!(
            parse("/a?q={query.q}"),
            [CallPiece::Literal("/a?q=".into()), CallPiece::Query("q".into())],
            "it is the client's"
        );
        assert_eq!(
            parse("/{query.own.x}")[1],
            CallPiece::Value(1, vec!["x".into()]),
            "a part of that name comes first"
        );
        for text in ["/a", "/a/{id}?q={query.q}", "/a?x={id}&q={query.a.b}&p={query.p}&y=1"] {
            assert_eq!(misplaced(&parse(text)), None, "{text}");
        }
        for text in [
            "/a/{query.q}",
            "/a?{query.q}",
            "/a?={query.q}",
            "/a?q=x{query.q}",
            "/a?q={query.q}x",
            "/a?q={query.q}{id}",
            "/a?q={id}{query.q}",
            "/a?{id}={query.q}",
            "/a?q=={query.q}",
            "/a&q={query.q}",
        ] {
            assert_eq!(misplaced(&parse(text)), Some("q"), "{text}");
        }
    }

    #[test]
    fn a_sample_is_the_path_with_something_in_it() {
        assert_eq!(sample("/a/{id}/{user.x}?q={id}"), "/a/x/x");
        assert_eq!(sample("/a/.{id?}/b"), "/a/.x/b");
        assert_eq!(sample("/"), "/");
    }
}
