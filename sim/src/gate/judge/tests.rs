//! Judgements of rounds made by hand and of rounds drawn from a seed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::super::metric::Figures;
use super::*;

/// Rounds in which head's CPU time is worse by these log-ratios, and all else is equal.
fn rounds(worse: &[f64]) -> Vec<Round> {
    let side = |cpu: f64| {
        let values = Metric::ALL.map(|metric| (metric, if metric == Metric::Cpu { cpu } else { 100.0 }));
        Figures { values: BTreeMap::from(values), core_share: 1.0, ..Figures::default() }
    };
    let round = |worse: &f64| Round { base: side(10.0), head: side(10.0 * worse.exp()), ..Round::default() };
    worse.iter().map(round).collect()
}

/// Noise of this deviation around a change, the same for the same seed.
fn noisy(change: f64, deviation: f64, count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    // The sum of twelve uniform numbers less six is nearly normal with deviation one.
    (0..count).map(|_| change + deviation * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).collect()
}

fn cpu(worse: &[f64], settings: &Settings, looks: &Looks) -> Judged {
    judge(&rounds(worse), settings, looks).remove(0)
}

#[test]
fn a_slow_down_fails_an_equal_head_passes_and_noise_decides_nothing() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    assert_eq!(looks.at, [12, 20, 32]);
    let slower = cpu(&noisy(0.03, 0.01, 12, 1), &settings, &looks);
    assert_eq!((slower.verdict, slower.rounds), (Verdict::Fail, 12));
    assert!((slower.estimate - 0.03).abs() < 0.01 && slower.low > 0.0, "{slower:?}");
    assert!((slower.base - 10.0).abs() < 1e-9 && slower.head > 10.0);
    let equal = cpu(&noisy(0.0, 0.01, 12, 2), &settings, &looks);
    assert_eq!(equal.verdict, Verdict::Pass, "{equal:?}");
    let noise = cpu(&noisy(0.0, 0.2, 12, 3), &settings, &looks);
    assert_eq!(noise.verdict, Verdict::Inconclusive, "{noise:?}");
    assert!(noise.rounds_wanted(&settings, &looks).is_some_and(|wanted| wanted > 12), "{noise:?}");
    assert!(noise.found > 0.1 && noise.found_with_twice < noise.found);
    let faster = cpu(&noisy(-0.1, 0.01, 12, 4), &settings, &looks);
    assert_eq!(faster.verdict, Verdict::Pass, "what is faster passes");
}

#[test]
fn an_interval_says_how_often_such_a_one_holds_the_truth() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let of = |rounds| cpu(&noisy(0.0, 0.01, rounds, 6), &settings, &looks).coverage;
    assert!((of(12) - looks.coverage()).abs() < 1e-12, "{} of {}", of(12), looks.coverage());
    assert!(looks.coverage() > 0.96 && looks.coverage() < 0.99, "three looks: {}", looks.coverage());
    assert!((of(3) - 0.75).abs() < 1e-9, "three rounds cannot say more: {}", of(3));
}

#[test]
fn a_sure_but_small_change_is_not_called_worse() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let judged = cpu(&noisy(0.01, 0.001, 32, 5), &settings, &looks);
    assert!(judged.low > 0.0 && judged.p_value < 1e-6, "it is sure");
    assert_eq!(judged.verdict, Verdict::Pass, "and below the floor of 1.5 %");
}

#[test]
fn too_few_rounds_prove_nothing() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 3);
    assert_eq!(looks.at, [3]);
    let judged = cpu(&[0.0, 0.0, 0.0], &settings, &looks);
    assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
    assert!(judge(&[], &settings, &looks).is_empty());
    assert_eq!(overall(&[], &settings), Verdict::Inconclusive);
}

#[test]
fn rounds_that_are_too_few_to_fail_find_nothing() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 8);
    assert_eq!(looks.fewest_to_fail(), 9, "at a level of two in a thousand");
    let judged = cpu(&[0.6; 8], &settings, &looks);
    assert_eq!(judged.verdict, Verdict::Inconclusive, "head is much slower, and eight rounds cannot say so");
    assert_eq!((judged.found, judged.found_with_twice.is_finite()), (f64::INFINITY, true), "{judged:?}");
    assert_eq!(judged.rounds_wanted(&settings, &looks), Some(9));
    assert_eq!(cpu(&[0.6; 9], &settings, &Looks::new(&settings, 9)).verdict, Verdict::Fail);
}

#[test]
fn what_costs_twice_as_much_in_every_round_needs_no_statistics() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let verdict = |worse: &[f64]| cpu(worse, &settings, &looks).verdict;
    assert_eq!(verdict(&[1.8, 1.8, 0.7]), Verdict::Fail);
    assert_eq!(verdict(&[1.8, 1.8]), Verdict::Inconclusive, "two rounds may have had the same bad luck");
    assert_eq!(verdict(&[1.8, 0.6, 1.8, 1.8]), Verdict::Inconclusive, "one that was not");
    assert!(!is_gross(&[], &settings));
}

#[test]
fn what_the_settings_tolerate_is_not_gross() {
    let mut settings = Settings::load(None).unwrap();
    let twice = rounds(&[0.75; 3]);
    assert!(is_gross(&twice, &settings), "2.1 times");
    settings.metrics.get_mut(&Metric::Cpu).unwrap().tolerance_pct = 150.0;
    assert!(!is_gross(&twice, &settings), "two and a half times were tolerated");
    assert!(is_gross(&rounds(&[0.95; 3]), &settings), "2.6 times were not");
}

#[test]
fn only_what_must_be_decided_holds_a_run_up() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let mut judged = judge(&rounds(&noisy(0.0, 0.01, 12, 6)), &settings, &looks);
    assert_eq!(overall(&judged, &settings), Verdict::Pass);
    let index = |metric: Metric| Metric::ALL.iter().position(|one| *one == metric).unwrap();
    judged[index(Metric::P99)].verdict = Verdict::Inconclusive;
    assert_eq!(overall(&judged, &settings), Verdict::Pass);
    judged[index(Metric::Rss)].verdict = Verdict::Inconclusive;
    assert_eq!(overall(&judged, &settings), Verdict::Inconclusive);
    judged[index(Metric::P99)].verdict = Verdict::Fail;
    assert_eq!(overall(&judged, &settings), Verdict::Fail);
    judged.retain(|one| one.metric != Metric::P99 && one.metric != Metric::Cpu);
    judged[2].verdict = Verdict::Pass;
    assert_eq!(overall(&judged, &settings), Verdict::Inconclusive, "what showed nothing is not decided");
}

#[test]
fn a_rate_passes_only_where_the_core_was_full() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let mut waiting = rounds(&noisy(0.0, 0.01, 12, 7));
    for round in &mut waiting {
        round.head.core_share = 0.6;
    }
    let rate = &judge(&waiting, &settings, &looks)[1];
    assert_eq!((rate.metric, rate.verdict), (Metric::Rate, Verdict::Inconclusive));
    assert!(rate.note.is_some());
}

#[test]
fn latencies_of_which_the_worst_were_dropped_pass_nothing_and_hide_no_loss() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let mut dropping = rounds(&[0.0; 12]);
    dropping[5].base.dropped = 3;
    let verdicts = |rounds: &[Round]| {
        let judged = judge(rounds, &settings, &looks);
        [Metric::Cpu, Metric::P50, Metric::P99].map(|metric| {
            let one = judged.iter().find(|one| one.metric == metric).unwrap();
            (one.verdict, one.note.is_some())
        })
    };
    let passes = (Verdict::Pass, false);
    assert_eq!(verdicts(&dropping), [passes; 3], "base's drops flatter base");
    dropping[5].head.dropped = 3;
    let open = (Verdict::Inconclusive, true);
    assert_eq!(verdicts(&dropping), [passes, open, open]);
    for round in &mut dropping {
        round.head.values.insert(Metric::P99, 150.0);
    }
    assert_eq!(verdicts(&dropping)[2], (Verdict::Fail, false), "it is worse by what was seen alone");
}

#[test]
fn rounds_without_an_answer_in_time_are_the_worst_ones() {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let rate_of = |head: &[f64], base: f64| {
        let mut taken = rounds(&noisy(0.0, 0.001, head.len(), 8));
        for (round, head) in taken.iter_mut().zip(head) {
            (round.base.wall_s, round.head.wall_s) = (1.0, 1.0);
            round.base.values.insert(Metric::Rate, base);
            round.head.values.insert(Metric::Rate, *head);
        }
        let judged = judge(&taken, &settings, &looks);
        let rate = judged.iter().find(|one| one.metric == Metric::Rate).cloned().unwrap();
        (rate, overall(&judged, &settings))
    };
    let stalls = [&[0.0; 8][..], &[90.0; 4]].concat();
    let (rate, verdict) = rate_of(&stalls, 100.0);
    assert_eq!((rate.verdict, rate.rounds, verdict), (Verdict::Fail, 12, Verdict::Fail), "{rate:?}");
    let (rate, verdict) = rate_of(&[0.0; 12], 0.0);
    assert_eq!((rate.verdict, rate.rounds, verdict), (Verdict::Inconclusive, 0, Verdict::Pass), "it need not decide");
    assert!(rate.note.is_some_and(|note| note.contains("objective")), "and it is told of: {rate:?}");
    assert_eq!(rate.rounds_wanted(&settings, &looks), None);
}

#[test]
fn equal_sides_fail_as_seldom_as_promised_however_noisy() {
    // 1,000 runs of up to three looks. Noise of 20 % would pass the floor in nearly half of them.
    let mut settings = Settings::load(None).unwrap();
    settings.promise.false_alarm = 0.05;
    settings.metrics.retain(|metric, _| *metric == Metric::Cpu);
    let looks = Looks::new(&settings, 32);
    let mut alarms = 0;
    for seed in 0..1_000 {
        let worse = noisy(0.0, 0.2, 32, seed);
        let fails = |look: &usize| cpu(&worse[..*look], &settings, &looks).verdict == Verdict::Fail;
        alarms += u32::from(looks.at.iter().any(fails));
    }
    // 5 % is 50, deviation 7; a little less, since ranks are whole numbers.
    assert!((25..=71).contains(&alarms), "{alarms} of 1000");
}

proptest! {
    #[test]
    fn holm_is_what_its_definition_says(p_values in prop::collection::vec(0.0_f64..0.1, 0..6)) {
        let levels: Vec<f64> = (1..=p_values.len()).map(|metrics| 0.05 / metrics as f64).collect();
        let mut found = holm(&p_values, &levels);
        found.sort_unstable();
        // The i-th smallest is significant when it and all smaller ones are within alpha / (n - i).
        let mut sorted = p_values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len();
        let count = (0..n).find(|i| sorted[*i] > 0.05 / (n - i) as f64).unwrap_or(n);
        let expected: Vec<usize> = (0..n).filter(|i| sorted[..count].contains(&p_values[*i])).collect();
        prop_assert_eq!(found, expected);
    }
}
