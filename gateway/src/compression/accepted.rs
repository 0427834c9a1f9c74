//! `accept-encoding` (RFC 9110, section 12.5.3): which of the codings that a route offers a client likes best.

use crate::config::settings::compress::Coding;

/// So many members are looked at, over all lines: no client has more codings than a few.
const MEMBERS_MAX: usize = 64;

/// What a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The best of what the route offers; `None` = the answer as it is.
    pub coding: Option<Coding>,
    /// It does not take an answer as it is.
    pub only: bool,
    /// It asks whether it has the latest by a weak tag, as answers that were made smaller have.
    pub has_weak_tag: bool,
}

/// A weight in thousandths (RFC 9110, section 12.4.2).
type Weight = u16;

impl Accepted {
    /// The best of `offered`, whose first is preferred among equals.
    ///
    /// Where the client likes the answer as it is better than any coding, it gets it so. A client that says nothing
    /// gets it so too: it could take whatever there is, but one that can says it. A member that is not understood is
    /// as good as not there.
    pub fn choose<'a>(lines: impl Iterator<Item = &'a [u8]>, offered: &[Coding]) -> Self {
        let mut named: [Option<Weight>; Coding::ALL.len()] = [None; Coding::ALL.len()];
        let (mut identity, mut others) = (None, None);
        let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
        for member in members.take(MEMBERS_MAX) {
            let Some((name, weight)) = read(member) else { continue };
            if let Some(coding) = coding(name) {
                named[coding as usize] = Some(weight);
            } else if name.eq_ignore_ascii_case(b"identity") {
                identity = Some(weight);
            } else if name == b"*" {
                others = Some(weight);
            }
        }
        let mut best: Option<(Coding, Weight)> = None;
        for coding in offered {
            let weight = named[*coding as usize].or(others).unwrap_or(0);
            if weight > best.map_or(0, |(_, best)| best) {
                best = Some((*coding, weight));
            }
        }
        let only = identity.or(others) == Some(0);
        let coding = best.filter(|(_, weight)| only || *weight >= identity.unwrap_or(0)).map(|(coding, _)| coding);
        Self { coding, only: only && coding.is_some(), has_weak_tag: false }
    }
}

fn coding(name: &[u8]) -> Option<Coding> {
    // RFC 9110, section 8.4.1.3: the old name is to be taken for the new one.
    let name = if name.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { name };
    Coding::ALL.iter().copied().find(|coding| name.eq_ignore_ascii_case(coding.as_str().as_bytes()))
}

/// A member's name and weight; `None` where it has no form.
fn read(member: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| !name.is_empty())?;
    match (parts.next(), parts.next()) {
        (None, _) => Some((name, 1000)),
        (Some(parameter), None) => {
            let (key, value) = parameter.split_at_checked(2)?;
            key.eq_ignore_ascii_case(b"q=").then(|| weight(value)).flatten().map(|weight| (name, weight))
        }
        (Some(_), Some(_)) => None,
    }
}

/// `0`, `0.5`, `1.000`.
fn weight(text: &[u8]) -> Option<Weight> {
    let (whole, fraction) = match text {
        [whole] | [whole, b'.'] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, place) in fraction.iter().zip([100, 10, 1]) {
        thousandths += Weight::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?) * place;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: &[Coding] = &[Coding::Zstd, Coding::Gzip];

    fn chosen(value: &str) -> (Option<Coding>, bool) {
        let Accepted { coding, only, .. } = Accepted::choose([value.as_bytes()].into_iter(), BOTH);
        (coding, only)
    }

    #[test]
    fn the_best_is_taken_and_among_equals_what_the_route_prefers() {
        let (gzip, zstd) = (Some(Coding::Gzip), Some(Coding::Zstd));
        for (value, coding) in [
            ("gzip", gzip),
            ("gzip, deflate, br, zstd", zstd),
            ("GZIP;q=1.000, zstd ; Q=0.999", gzip),
            ("x-gzip", gzip),
            ("br", None),
            ("*", zstd),
            ("*;q=0.1, zstd;q=0", gzip),
            ("gzip;q=0", None),
            ("gzip;q=0, *", zstd),
            ("", None),
            (",, ,gzip", gzip),
            // Better as it is.
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", gzip),
            // What is not understood says nothing.
            ("gzip;q=2", None),
            ("gzip;q=-0", None),
            ("gzip;q=0.1234", None),
            ("gzip;q=", None),
            ("gzip;level=9", None),
            ("gzip;q=1;q=0", None),
            ("gzip;q=0.x, zstd;q=.5", None),
            ("gzip;q=1.001", None),
        ] {
            assert_eq!(chosen(value), (coding, false), "{value:?}");
        }
    }

    #[test]
    fn who_does_not_take_an_answer_as_it_is_says_so() {
        assert_eq!(chosen("gzip, identity;q=0"), (Some(Coding::Gzip), true));
        assert_eq!(chosen("gzip, *;q=0"), (Some(Coding::Gzip), true));
        assert_eq!(chosen("gzip;q=0.2, identity;q=0.0, *;q=0.1"), (Some(Coding::Gzip), true));
        assert_eq!(chosen("identity;q=0.3, gzip, *;q=0"), (Some(Coding::Gzip), false));
        // Nothing that we have: the answer as it is, which RFC 9110 prefers to none.
        assert_eq!(chosen("br, identity;q=0"), (None, false));
        assert_eq!(chosen("*;q=0"), (None, false));
    }

    #[test]
    fn lines_are_one_list_and_only_so_much_of_it_is_read() {
        let lines = [&b"br"[..], b"zstd;q=0", b"gzip;q=0.1"];
        assert_eq!(Accepted::choose(lines.into_iter(), BOTH).coding, Some(Coding::Gzip));
        assert_eq!(Accepted::choose(std::iter::empty(), BOTH), Accepted::default());
        let long = "br,".repeat(MEMBERS_MAX) + "gzip";
        assert_eq!(chosen(&long), (None, false));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_and_what_was_refused_is_not_taken(
            bytes in "[ ,;q=01.*gzipstdxn-]{0,60}", raw in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            for bytes in [bytes.as_bytes(), &raw] {
                let accepted = Accepted::choose([bytes].into_iter(), &[Coding::Gzip]);
                prop_assert!(!accepted.only || accepted.coding.is_some());
                let refused = [bytes, b",gzip;q=0"].concat();
                if refused.split(|byte| *byte == b',').count() <= MEMBERS_MAX {
                    prop_assert_eq!(Accepted::choose([&*refused].into_iter(), &[Coding::Gzip]).coding, None);
                }
            }
        }
    }
}
