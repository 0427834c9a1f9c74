//! Intervals of shares: how often something happened in so many tries.

use super::normal;

/// Wilson's score interval of `hits` in `tries`, with `outside` left out on each side (Wilson, Probable inference, the
/// law of succession, and statistical inference, 1927). The whole of [0, 1] of no tries.
#[must_use]
pub fn wilson(hits: u64, tries: u64, outside: f64) -> (f64, f64) {
    if tries == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (tries as f64, hits as f64 / tries as f64);
    let z = normal::quantile(1.0 - outside);
    let denominator = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / denominator;
    let half_width = z / denominator * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half_width).max(0.0), (centre + half_width).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_literature() {
        // Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3.
        for (hits, tries, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (found_low, found_high) = wilson(hits, tries, 0.025);
            assert!((found_low - low).abs() < 6e-5 && (found_high - high).abs() < 6e-5, "{hits}/{tries}");
        }
        assert_eq!(wilson(0, 0, 0.025), (0.0, 1.0));
    }
}
