//! Figures as people read them: three digits and a unit.

use crate::result::{ClaimFigure, GateMetric, Unit, Verdict};

/// No figure is so large: JSON has no infinity, and who writes one writes the largest number that there is.
pub(crate) const BEYOND: f64 = 1e15;

/// Microseconds in a unit that keeps three digits, in plain ASCII.
#[must_use]
pub fn micros(us: f64) -> String {
    match us {
        us if us < 100.0 => format!("{us:.1} us"),
        us if us < 10_000.0 => format!("{us:.0} us"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// Bytes as mebibytes.
#[must_use]
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Microseconds in the unit that fits, for pages and axes.
#[must_use]
pub fn duration(us: f64) -> String {
    match us.abs() {
        size if size >= 1e6 => format!("{} s", digits(us / 1e6)),
        size if size >= 1e3 => format!("{} ms", digits(us / 1e3)),
        _ => format!("{} µs", digits(us)),
    }
}

/// A number with three digits that count, and no more zeros than it needs; thousands are grouped.
#[must_use]
pub fn digits(value: f64) -> String {
    if value.abs() >= BEYOND {
        return if value > 0.0 { "∞".to_owned() } else { "−∞".to_owned() };
    }
    if value.is_nan() {
        return "none".to_owned();
    }
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size if size >= 0.0995 => 3,
        size if size >= 0.000_05 => 4,
        size if size > 0.0 => return format!("{value:.1e}"),
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// The same for an axis, on which figures of four digits stand beside longer ones: all are grouped.
pub(crate) fn tick(value: f64) -> String {
    let text = digits(value);
    match text.len() {
        4 if text.bytes().all(|letter| letter.is_ascii_digit()) => format!("{},{}", &text[..1], &text[1..]),
        _ => text,
    }
}

/// A number with up to six digits that count: what a bound is held against must not be rounded to it.
#[must_use]
pub fn exact(value: f64) -> String {
    if value.is_nan() || value.abs() >= BEYOND {
        return digits(value);
    }
    let size = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (5.0 - size).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    grouped(if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
}

/// A count, with thousands grouped.
#[must_use]
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A share as percent, with as many digits as it takes to tell it from all and from nothing.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let decimals = match (1.0 - share).abs().min(share.abs()) {
        0.0 => 0,
        rest if rest < 0.000_1 => 4,
        rest if rest < 0.001 => 3,
        rest if rest < 0.01 => 2,
        _ => 1,
    };
    let text = format!("{value:.decimals$}");
    // One decimal stays, so that a column keeps its look.
    let text = match text.split_once('.') {
        Some((whole, part)) => format!("{whole}.{}{}", &part[..1], part[1..].trim_end_matches('0')),
        None => text,
    };
    format!("{text} %")
}

/// Bytes in the unit that fits.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let mebi = bytes as f64 / f64::from(1 << 20);
    if mebi >= 4_096.0 { format!("{} GiB", digits(mebi / 1_024.0)) } else { mebibytes(bytes) }
}

/// A change in percent, with its sign.
#[must_use]
pub fn change(percent: f64) -> String {
    if percent.abs() >= BEYOND {
        return format!("{}{} %", if percent > 0.0 { "+" } else { "" }, digits(percent));
    }
    let text = format!("{percent:+.1} %");
    if text == "-0.0 %" { "+0.0 %".to_owned() } else { text.replace('-', "−") }
}

/// A verdict as a word.
#[must_use]
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Invalid => "invalid",
    }
}

/// A value in its unit.
#[must_use]
pub fn in_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Number => digits(value),
        Unit::Times => format!("{} ×", digits(value)),
        Unit::Share if value == 0.0 => "0 %".to_owned(),
        Unit::Share => format!("{} %", digits(value * 100.0)),
        Unit::Ns if value.abs() < 1e3 => format!("{} ns", digits(value)),
        Unit::Ns => duration(value / 1e3),
        Unit::Us => duration(value),
        Unit::Ms => duration(value * 1e3),
        Unit::Bytes if value.abs() < 10_240.0 => format!("{} B", digits(value)),
        Unit::Bytes if value.abs() < f64::from(1 << 20) => format!("{} KiB", digits(value / 1_024.0)),
        Unit::Bytes => format!("{} MiB", digits(value / f64::from(1 << 20))),
        Unit::PerSecond => format!("{}/s", digits(value)),
        Unit::BytesPerSecond => format!("{}/s", in_unit(value, Unit::Bytes)),
    }
}

/// A claim's figure: the estimate, or that there is none.
#[must_use]
pub fn claim_value(figure: &ClaimFigure) -> String {
    figure.value.map_or_else(|| "none".to_owned(), |value| in_unit(value, figure.unit))
}

/// A claim's figure: its interval, or that it is exact.
#[must_use]
pub fn claim_interval(figure: &ClaimFigure) -> String {
    let (Some(low), Some(high)) = (figure.ci_low, figure.ci_high) else { return String::new() };
    let ends = format!("{} to {}", in_unit(low, figure.unit), in_unit(high, figure.unit));
    let rounds = match figure.rounds {
        1 => "1 run".to_owned(),
        rounds => format!("{rounds} runs"),
    };
    match figure.coverage {
        // A time that no valid run may exceed.
        None if !figure.exact && figure.rounds < 2 => "1 valid run".to_owned(),
        None if !figure.exact => format!("{ends} over {} valid runs", figure.rounds),
        None if (low - high).abs() < f64::EPSILON => format!("exact, {rounds}"),
        None => format!("exact, {ends} over {rounds}"),
        // One run has no interval.
        Some(_) if figure.rounds < 2 => "1 run, no interval".to_owned(),
        Some(coverage) => format!("{ends} ({:.0} %, {rounds})", coverage * 100.0),
    }
}

/// The interval of a gate's metric, and how often such a one holds the truth where the result says so.
#[must_use]
pub fn gate_interval(metric: &GateMetric) -> String {
    let ends = interval(metric);
    metric.coverage.map_or_else(|| ends.clone(), |coverage| format!("{ends} ({})", percent(coverage)))
}

/// The same without how often.
pub(crate) fn interval(metric: &GateMetric) -> String {
    format!("{} to {}", change(metric.ci_low_pct), change(metric.ci_high_pct))
}

fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("−", rest));
    let (whole, part) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && whole.len() > 4 {
            text.push(',');
        }
        text.push(digit);
    }
    part.map_or(text.clone(), |part| format!("{text}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (2.5, "2.5"),
            (12.64, "12.6"),
            (99.96, "100"),
            (1_234.0, "1234"),
            (79_120.0, "79,120"),
            (1_234_567.8, "1,234,568"),
            (-3.25, "−3.25"),
            (0.011, "0.011"),
            (f64::NAN, "none"),
            (f64::MAX, "∞"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (value, text) in cases {
            assert_eq!(digits(value), text);
        }
    }

    #[test]
    fn an_axis_groups_all_of_its_figures() {
        let cases = [(500.0, "500"), (2_000.0, "2,000"), (10_000.0, "10,000"), (0.05, "0.05"), (-1_500.0, "−1500")];
        for (value, text) in cases {
            assert_eq!(tick(value), text);
        }
    }

    #[test]
    fn what_is_held_against_a_bound_is_not_rounded_to_it() {
        let cases = [
            (0.99995, "0.99995"),
            (212.4, "212.4"),
            (1.0, "1"),
            (0.0, "0"),
            (1_234_567.0, "1,234,567"),
            (-1.004, "−1.004"),
        ];
        for (value, text) in cases {
            assert_eq!(exact(value), text);
        }
    }

    #[test]
    fn the_interval_of_a_claim_says_what_it_is_of() {
        let figure = |exact, coverage, rounds, [low, high]: [f64; 2]| ClaimFigure {
            unit: Unit::Ms,
            ci_low: Some(low),
            ci_high: Some(high),
            exact,
            coverage,
            rounds,
            ..ClaimFigure::default()
        };
        let cases = [
            (figure(true, None, 3, [2.0, 2.0]), "exact, 3 runs"),
            (figure(true, None, 3, [2.0, 3.0]), "exact, 2 ms to 3 ms over 3 runs"),
            (figure(false, None, 1, [2.0, 2.0]), "1 valid run"),
            (figure(false, None, 2, [2.0, 3.0]), "2 ms to 3 ms over 2 valid runs"),
            (figure(false, Some(0.0), 1, [2.0, 2.0]), "1 run, no interval"),
            (figure(false, Some(0.75), 3, [2.0, 3.0]), "2 ms to 3 ms (75 %, 3 runs)"),
        ];
        for (figure, told) in cases {
            assert_eq!(claim_interval(&figure), told);
        }
    }

    #[test]
    fn units_follow_the_size() {
        assert_eq!(duration(950.0), "950 µs");
        assert_eq!(duration(2_110.0), "2.11 ms");
        assert_eq!(duration(3_000_000.0), "3 s");
        assert_eq!(
            (micros(99.94), micros(300.0), micros(12_000.0)),
            ("99.9 us".into(), "300 us".into(), "12.0 ms".into())
        );
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        let cases = [
            (1.0, "100 %"),
            (0.0, "0 %"),
            (0.999_95, "99.995 %"),
            (0.99, "99.0 %"),
            (0.9999, "99.99 %"),
            (0.431, "43.1 %"),
        ];
        for (share, text) in cases {
            assert_eq!(percent(share), text);
        }
        assert_eq!((change(4.04), change(-1.26), change(-0.01)), ("+4.0 %".into(), "−1.3 %".into(), "+0.0 %".into()));
    }
}
