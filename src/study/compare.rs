//! Changes in the units that people quote, and how sure a number over networks is.

use homarus_systems::math;
use serde::{Deserialize, Serialize};

use crate::{
    rhythm::{Verdict, phase_difference},
    scene::draw::Stream,
    science::statistics::{median, wilson},
};

use super::judgement::Figures;

/// How a rhythm differs from its reference. What one of the two has not is undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Of the period, as a share of the reference (%).
    pub period_percent: Option<f64>,
    /// Of the onset phases of the other cells (cycles), the short way round, in [-0.5, 0.5); above 0
    /// where a cell comes later in the cycle.
    pub phases: Vec<Option<f64>>,
    /// Of the duty cycles (1), as [`Figures::duties`].
    pub duties: Vec<Option<f64>>,
    /// Of mean calcium (µM).
    pub ca_um: Option<f64>,
}

/// The changes from a reference to what is held against it. Of a reference without a rhythm only
/// calcium can change.
pub fn changes(reference: &Figures, now: &Figures) -> Changes {
    let ca_um = || Some(now.ca_mean_um? - reference.ca_mean_um?);
    if reference.there != Verdict::Rhythmic {
        return Changes {
            ca_um: ca_um(),
            phases: vec![None; reference.phases.len()],
            duties: vec![None; reference.duties.len()],
            ..Changes::default()
        };
    }
    let each = |was: &[Option<f64>], is: &[Option<f64>], change: &dyn Fn(f64, f64) -> f64| {
        let pairs = was.iter().zip(is);
        pairs
            .map(|(was, is)| Some(change((*was)?, (*is)?)))
            .collect()
    };
    let period_percent = || {
        let was = reference.period_ms?;
        Some(100.0 * (now.period_ms? - was) / was)
    };
    Changes {
        period_percent: period_percent(),
        phases: each(&reference.phases, &now.phases, &|was, is| {
            phase_difference(is, was)
        }),
        duties: each(&reference.duties, &now.duties, &|was, is| is - was),
        ca_um: ca_um(),
    }
}

/// A share of things, with the chance that may be behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// That have it.
    pub found: usize,
    /// Of all.
    pub of: usize,
    /// found/of.
    pub fraction: f64,
    /// Lower end of Wilson's interval of 95 %.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
}

impl Share {
    /// Of `found` out of `of`, if there are any.
    pub fn of(found: usize, of: usize) -> Option<Self> {
        let [low, high] = wilson(found, of);
        (of > 0).then(|| Share {
            found,
            of,
            fraction: found as f64 / of as f64,
            low,
            high,
        })
    }
}

/// A median over networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    /// Values.
    pub n: usize,
    /// Their median, in the unit of the values.
    pub median: f64,
    /// Lower end of the bootstrap interval of 95 %; from two values on.
    pub low: Option<f64>,
    /// Upper end of it.
    pub high: Option<f64>,
}

/// Resamples behind an interval.
pub const RESAMPLES: usize = 2000;

impl Median {
    /// Of some values, if there are any.
    ///
    /// The interval is the percentile bootstrap: the medians of [`RESAMPLES`] resamples, between the
    /// 50th from below and the 50th from above (BCa is of no use here: the jackknife behind its
    /// acceleration fails for a median, Efron & Tibshirani 1993, section 11.6). Of few values it is
    /// somewhat narrow: 15 hold the median of what they are drawn from in about 92 % of cases, and
    /// five values cannot in more than 94 %.
    ///
    /// The stream of random numbers is that of `seed` and `key`, so an interval depends on nothing
    /// but the values and these.
    pub fn of(mut values: Vec<f64>, seed: u64, key: &str) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let interval = (n > 1).then(|| {
            let mut stream = Stream::new(seed, key);
            let mut medians: Vec<f64> = (0..RESAMPLES)
                .map(|_| resampled(&values, &mut stream))
                .collect();
            medians.sort_by(f64::total_cmp);
            // The share 0.025 of 2000 + 1.
            [medians[49], medians[RESAMPLES - 50]]
        });
        Some(Median {
            n,
            median: median(values.into_iter()),
            low: interval.map(|[low, _]| low),
            high: interval.map(|[_, high]| high),
        })
    }
}

/// The median of a resample of ascending values.
///
/// A resample of n is n uniform numbers U, each of which picks the value ⌊nU⌋. Its median is picked
/// by the middle one of the U, or by the two middle ones, and these can be drawn at once: the m-th
/// smallest of n follows a beta distribution with m and n + 1 - m, and the next one is the smallest of
/// the n - m others, which are uniform above it. So a resample takes no longer for many values.
fn resampled(values: &[f64], stream: &mut Stream) -> f64 {
    let n = values.len();
    let pick = |u: f64| values[((n as f64 * u) as usize).min(n - 1)];
    let m = n.div_ceil(2);
    let (below, above) = (gamma(m, stream), gamma(n + 1 - m, stream));
    let middle = below / (below + above);
    if n % 2 == 1 {
        return pick(middle);
    }
    let others = (n - m) as f64;
    let next = 1.0 - (1.0 - middle) * math::exp(math::ln(1.0 - stream.unit()) / others);
    0.5 * (pick(middle) + pick(next))
}

/// A number of the gamma distribution of a whole shape above 0 (Marsaglia & Tsang 2000).
fn gamma(shape: usize, stream: &mut Stream) -> f64 {
    let d = shape as f64 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal();
        let v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
        if v > 0.0 {
            let u = 1.0 - stream.unit();
            if math::ln(u) < 0.5 * x * x + d - d * v + d * math::ln(v) {
                return d * v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rhythm::Verdict;

    use super::*;

    #[test]
    fn changes_in_the_units_people_quote() {
        let figures = |period_ms, phase, duty, ca_mean_um| Figures {
            there: Verdict::Rhythmic,
            period_ms: Some(period_ms),
            period_cv: Some(0.0),
            phases: vec![Some(phase), None],
            locks: vec![Some(1.0), None],
            duties: vec![Some(duty), Some(0.5), None],
            ca_mean_um,
        };
        let (was, is) = (
            figures(2000.0, 0.9375, 0.25, Some(100.0)),
            figures(1500.0, 0.0625, 0.375, Some(125.0)),
        );
        let forth = changes(&was, &is);
        assert_eq!(forth.period_percent, Some(-25.0));
        assert_eq!(forth.phases, [Some(0.125), None]);
        assert_eq!(forth.duties, [Some(0.125), Some(0.0), None]);
        assert_eq!(forth.ca_um, Some(25.0));
        assert_eq!(changes(&is, &was).phases, [Some(-0.125), None]);
        let unknown = figures(1500.0, 0.0, 0.25, None);
        assert_eq!(changes(&was, &unknown).ca_um, None);
    }

    #[test]
    fn shares() {
        assert_eq!(Share::of(0, 0), None);
        let share = Share::of(81, 263).unwrap();
        assert!((share.fraction - 0.308).abs() < 1e-3);
        assert!((share.low - 0.2553).abs() < 1e-4 && (share.high - 0.3662).abs() < 1e-4);
    }

    /// C(n, k) p^k (1 - p)^(n - k).
    fn binomial(n: usize, k: usize, p: f64) -> f64 {
        let ways = (0..k).map(|i| (n - i) as f64 / (i + 1) as f64);
        ways.product::<f64>() * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
    }

    /// The bootstrap distribution of an odd sample's median is known (Efron 1982, section 10.3): it is
    /// among the k smallest of the n values if most of a resample is.
    #[test]
    fn medians_of_resamples_are_distributed_as_they_should() {
        let n = 11;
        let values: Vec<f64> = (0..n).map(|k| k as f64).collect();
        let mut stream = Stream::new(5, "odd");
        let draws = 100_000;
        let mut counts = vec![0_usize; n];
        for _ in 0..draws {
            counts[resampled(&values, &mut stream) as usize] += 1;
        }
        let mut below = 0;
        for k in 1..=n {
            below += counts[k - 1];
            let p = k as f64 / n as f64;
            let known: f64 = (n / 2 + 1..=n).map(|most| binomial(n, most, p)).sum();
            let found = below as f64 / draws as f64;
            assert!((found - known).abs() < 0.006, "{k}: {found} {known}");
        }
    }

    /// An even sample's, against resampling one by one.
    #[test]
    fn even_samples_are_resampled_as_one_by_one() {
        for n in [2_u32, 4, 10] {
            let values: Vec<f64> = (0..n).map(|k| f64::from(k * k)).collect();
            let (mut quick, mut plain) = (Stream::new(1, "quick"), Stream::new(1, "plain"));
            let draws = 40_000;
            let mut found = [Vec::new(), Vec::new()];
            for _ in 0..draws {
                found[0].push(resampled(&values, &mut quick));
                let resample = (0..n).map(|_| values[plain.below(n) as usize]);
                found[1].push(median(resample));
            }
            found.iter_mut().for_each(|m| m.sort_by(f64::total_cmp));
            for x in &values {
                let share = |sorted: &[f64]| {
                    sorted.partition_point(|median| median <= x) as f64 / f64::from(draws)
                };
                assert!(
                    (share(&found[0]) - share(&found[1])).abs() < 0.015,
                    "{n} {x}"
                );
            }
        }
    }

    /// Of 1000 samples of a skewed distribution with a known median. An interval ends at values, and
    /// with 15 of them those that hold the median in 88.2 % and 96.5 % of cases are next to each other
    /// (1 - 2 P(Bin(15, 1/2) <= 4) and <= 3).
    #[test]
    fn intervals_hold_the_median_as_often_as_they_say() {
        for (n, wanted) in [(15, 870..=975), (100, 930..=970)] {
            let covered = (0..1000).filter(|trial| {
                let mut stream = Stream::new(11, &format!("{n} {trial}"));
                let draw = |_| -math::ln(1.0 - stream.unit());
                let values: Vec<f64> = (0..n).map(draw).collect();
                let median = Median::of(values, 3, &trial.to_string()).unwrap();
                let truth = std::f64::consts::LN_2;
                median.low.unwrap() <= truth && truth <= median.high.unwrap()
            });
            let covered = covered.count();
            assert!(wanted.contains(&covered), "{n}: {covered}");
        }
    }

    #[test]
    fn an_interval_depends_on_its_values_seed_and_key_alone() {
        let values = || (0..30).map(|k| f64::from(k * 7 % 30)).collect::<Vec<_>>();
        let median = |values, seed, key| Median::of(values, seed, key).unwrap();
        let mut turned = values();
        turned.reverse();
        assert_eq!(median(values(), 1, "row"), median(turned, 1, "row"));
        assert_eq!(median(values(), 1, "row").median, 14.5);
        let one = median(vec![2.0], 1, "row");
        assert_eq!((one.n, one.median, one.low), (1, 2.0, None));
        assert_eq!(Median::of(vec![], 1, "row"), None);
    }
}
