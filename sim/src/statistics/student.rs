//! Student's t distribution, for whole degrees of freedom.

use std::f64::consts::FRAC_2_PI;

use super::normal;

/// `P(T <= t)` with `degrees` (at least 1) degrees of freedom: the finite sums of Abramowitz and Stegun, Handbook of
/// Mathematical Functions, 26.7.3 and 26.7.4.
#[must_use]
pub fn cdf(t: f64, degrees: u32) -> f64 {
    let degrees = degrees.max(1);
    let theta = (t.abs() / f64::from(degrees).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = degrees % 2 == 1;
    // Each term is the one before, times the next ratio of odd and even numbers, times the squared cosine.
    let (mut term, mut sum) = if odd { (cos, cos) } else { (1.0, 1.0) };
    let mut n = if odd { 3 } else { 2 };
    while n < degrees {
        term *= f64::from(n - 1) / f64::from(n) * cos * cos;
        sum += term;
        n += 2;
    }
    let within = match degrees {
        1 => FRAC_2_PI * theta,
        _ if odd => FRAC_2_PI * (theta + sin * sum),
        _ => sin * sum,
    };
    if t < 0.0 { 0.5 - within / 2.0 } else { 0.5 + within / 2.0 }
}

/// The `t` with `P(T <= t) = chance`; infinite outside of (0, 1).
#[must_use]
pub fn quantile(chance: f64, degrees: u32) -> f64 {
    if chance <= 0.0 || chance >= 1.0 {
        return normal::quantile(chance);
    }
    if chance < 0.5 {
        return -quantile(1.0 - chance, degrees);
    }
    // In u = t/(1+t), so that the whole half line is a short range.
    let u = normal::invert(0.0, 1.0, |u| cdf(u / (1.0 - u), degrees) < chance);
    u / (1.0 - u)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_published_tables() {
        let table = [
            (0.975, 1, 12.706),
            (0.975, 2, 4.303),
            (0.975, 3, 3.182),
            (0.975, 7, 2.365),
            (0.90, 7, 1.415),
            (0.975, 11, 2.201),
            (0.90, 11, 1.363),
            (0.995, 20, 2.845),
            (0.95, 30, 1.697),
            (0.975, 120, 1.980),
        ];
        for (chance, degrees, t) in table {
            assert!((quantile(chance, degrees) - t).abs() < 0.000_51, "{chance} {degrees}");
            assert!((cdf(-quantile(chance, degrees), degrees) - (1.0 - chance)).abs() < 1e-9);
        }
    }
}
