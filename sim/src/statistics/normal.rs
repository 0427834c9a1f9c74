//! The standard normal distribution.

use std::f64::consts::{PI, SQRT_2};

/// Beyond this many deviations the tail is below the smallest double.
const FARTHEST: f64 = 38.0;

/// `P(Z <= z)`, to about 1e-14.
#[must_use]
pub fn cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// The density at `z`.
#[must_use]
pub fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The `z` with `P(Z <= z) = chance`; infinite outside of (0, 1).
#[must_use]
pub fn quantile(chance: f64) -> f64 {
    if chance <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if chance >= 1.0 {
        return f64::INFINITY;
    }
    // The lower tail keeps its digits, so the upper one is asked by symmetry.
    if chance > 0.5 {
        return -quantile(1.0 - chance);
    }
    invert(-FARTHEST, 0.0, |z| cdf(z) < chance)
}

/// The place between `low` and `high` at which `is_below` turns from true to false.
pub(super) fn invert(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    // 60 halvings leave less than a double's last digit of any range used here.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The complementary error function: the power series near zero, the continued fraction far out (Abramowitz and Stegun,
/// Handbook of Mathematical Functions, 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 1.0 - 2.0 / PI.sqrt() * (-x * x).exp() * sum;
    }
    // x + (1/2)/(x + 1/(x + (3/2)/(x + ...))), from the inside out.
    let fraction = (1..=80).rev().fold(x, |inner, n| x + f64::from(n) / 2.0 / inner);
    (-x * x).exp() / PI.sqrt() / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_published_tables() {
        for (z, chance) in
            [(0.0, 0.5), (1.0, 0.841_344_746_068_5), (1.96, 0.975_002_104_851_8), (-3.0, 0.001_349_898_03)]
        {
            assert!((cdf(z) - chance).abs() < 1e-11, "{z}: {}", cdf(z));
        }
        assert!((cdf(-6.0) / 9.865_876_450_377e-10 - 1.0).abs() < 1e-10);
        assert!((density(0.0) - 0.398_942_280_401).abs() < 1e-11);
        for (chance, z) in [(0.975, 1.959_963_984_540), (0.995, 2.575_829_303_549), (0.1, -1.281_551_565_545)] {
            assert!((quantile(chance) - z).abs() < 1e-10, "{chance}: {}", quantile(chance));
        }
        assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn both_forms_meet() {
        let (before, after) = (2.5 - 1e-12, 2.5);
        assert!((erfc(before) / erfc(after) - 1.0).abs() < 1e-9);
    }
}
