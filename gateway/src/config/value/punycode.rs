//! Names of hosts with letters beyond ASCII, as browsers send them: label by label in Punycode (RFC 3492).
//!
//! Only to say what is to be written: it is no IDNA. Letters that can be written in two ways, and marks, are left to
//! who knows more of them.

use std::ops::RangeInclusive;

use super::host_port::host_name;

/// Parameters of RFC 3492, section 5.
const BASE: u32 = 36;
const LEAST: u32 = 1;
const MOST: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const FIRST_BIAS: u32 = 72;
const FIRST_LETTER: u32 = 128;

/// A longer name is none, bytes.
const LONGEST: usize = 253;

/// What is to be written in place of a name that is not ASCII.
pub(super) fn remedy(name: &str) -> String {
    match sent(name) {
        Some(sent) => format!("browsers send {sent}, and so it is written"),
        None => "it is written as browsers send it, in ASCII: labels with other letters begin with xn--".to_owned(),
    }
}

/// The name as it is sent, where that is beyond doubt.
fn sent(name: &str) -> Option<String> {
    if name.len() > LONGEST || !name.chars().all(|letter| letter.is_ascii() || has_one_form(letter)) {
        return None;
    }
    let labels: Option<Vec<String>> = name.to_lowercase().split('.').map(encoded).collect();
    host_name(&labels?.join(".")).ok()
}

/// Letters of Latin, Greek and Cyrillic, of kana, Chinese and Korean.
const OF_ONE_FORM: [RangeInclusive<char>; 4] =
    ['\u{c0}'..='\u{52f}', '\u{3041}'..='\u{30ff}', '\u{4e00}'..='\u{9fff}', '\u{ac00}'..='\u{d7a3}'];

fn has_one_form(letter: char) -> bool {
    letter.is_alphabetic() && OF_ONE_FORM.iter().any(|letters| letters.contains(&letter))
}

/// A label (RFC 3492, section 6.3); `None` where its numbers would be too large.
fn encoded(label: &str) -> Option<String> {
    if label.is_ascii() {
        return Some(label.to_owned());
    }
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let plain = u32::try_from(out.len()).ok()?;
    let all = u32::try_from(label.chars().count()).ok()?;
    if plain > 0 {
        out.push('-');
    }
    let (mut least, mut delta, mut bias, mut done) = (FIRST_LETTER, 0_u32, FIRST_BIAS, plain);
    while done < all {
        let next = label.chars().map(u32::from).filter(|letter| *letter >= least).min()?;
        delta = delta.checked_add((next - least).checked_mul(done + 1)?)?;
        least = next;
        for letter in label.chars().map(u32::from) {
            if letter < least {
                delta = delta.checked_add(1)?;
            } else if letter == least {
                push_number(&mut out, delta, bias);
                bias = adapted(delta, done + 1, done == plain);
                (delta, done) = (0, done + 1);
            }
        }
        (delta, least) = (delta.checked_add(1)?, least + 1);
    }
    Some(format!("xn--{out}"))
}

/// A number of variable length, the least digit first.
fn push_number(out: &mut String, mut number: u32, bias: u32) {
    for at in (1..).map(|digit| digit * BASE) {
        let threshold = at.saturating_sub(bias).clamp(LEAST, MOST);
        if number < threshold {
            break;
        }
        let rest = number - threshold;
        push_digit(out, threshold + rest % (BASE - threshold));
        number = rest / (BASE - threshold);
    }
    push_digit(out, number);
}

fn push_digit(out: &mut String, digit: u32) {
    const DIGITS: [char; BASE as usize] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
        'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ];
    out.extend(DIGITS.get(digit as usize));
}

fn adapted(delta: u32, done: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / done;
    let mut bias = 0;
    while delta > (BASE - LEAST) * MOST / 2 {
        delta /= BASE - LEAST;
        bias += BASE;
    }
    bias + (BASE - LEAST + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_browsers_send_them() {
        for (name, expected) in [
            ("b\u{fc}cher.example", Some("xn--bcher-kva.example")),
            ("M\u{dc}NCHEN.de", Some("xn--mnchen-3ya.de")),
            ("stra\u{df}e.de", Some("xn--strae-oqa.de")),
            ("\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.\u{440}\u{444}", Some("xn--e1afmkfd.xn--p1ai")),
            ("\u{4f8b}\u{5b50}.test", Some("xn--fsqu00a.test")),
            // A letter and a mark, which browsers make one letter of.
            ("bu\u{308}cher.example", None),
            ("\u{1f4a9}.la", None),
        ] {
            assert_eq!(sent(name).as_deref(), expected, "{name}");
        }
        assert_eq!(sent(&"\u{fc}".repeat(200)), None);
    }
}
