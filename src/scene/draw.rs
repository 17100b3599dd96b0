//! Random draws: streams keyed by the scene's seed and the path of what is drawn for, so that no
//! draw depends on what else a scene holds, or on the order in which it is built.

use homarus_systems::math;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::model::{Cell, Distribution};

/// Place in a stream at which weights begin, behind whatever has chosen the cells they join.
const WEIGHTS: u128 = 1 << 32;

/// A number that is a path's own: which stream, or where in one.
pub(crate) fn place(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    let mut place = [0; 8];
    place.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(place)
}

/// The random numbers of one path.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `path`.
    pub fn new(seed: u64, path: &str) -> Self {
        Self::keyed(seed, place(path))
    }

    /// The stream of the path whose number this is.
    pub fn keyed(seed: u64, place: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(place);
        Stream(rng)
    }

    /// The part of the stream that weights are drawn from.
    pub fn weights(mut self) -> Self {
        self.0.set_word_pos(WEIGHTS);
        self
    }

    /// Goes to a place of its own in the stream, far from all others.
    pub fn seek(&mut self, place: u64) {
        const BLOCK: u128 = 16;
        self.0.set_word_pos(BLOCK * u128::from(place));
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 * UNIT
    }

    /// A number in [from, to).
    pub fn uniform(&mut self, from: f64, to: f64) -> f64 {
        (to - from).mul_add(self.unit(), from)
    }

    /// A whole number below `n`, each as likely as the others (Lemire's method).
    pub fn below(&mut self, n: u32) -> u32 {
        let n = u64::from(n);
        loop {
            let product = (self.0.next_u64() >> 32) * n;
            let low = product & u64::from(u32::MAX);
            if low >= n || low >= (1_u64 << 32) % n {
                return (product >> 32) as u32;
            }
        }
    }

    /// A number of the standard normal distribution (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.uniform(-1.0, 1.0), self.uniform(-1.0, 1.0));
            let square = x.mul_add(x, y * y);
            if 0.0 < square && square < 1.0 {
                return x * (-2.0 * math::ln(square) / square).sqrt();
            }
        }
    }

    /// A number of a distribution, 0 or more.
    pub fn draw(&mut self, distribution: Distribution) -> f64 {
        match distribution {
            Distribution::Uniform { from, to } => self.uniform(from, to),
            Distribution::Normal { mean, sd } => loop {
                // The part below 0 is cut off; with a mean of 0 or more it is half at most.
                let x = sd.mul_add(self.normal(), mean);
                if x >= 0.0 {
                    return x;
                }
            },
            Distribution::LogNormal { median, sigma } => median * math::exp(sigma * self.normal()),
        }
    }

    /// `k` different whole numbers below `n`, ascending; every set is as likely as the others
    /// (Floyd's algorithm).
    pub fn sample(&mut self, n: u32, k: u32, chosen: &mut Vec<u32>) {
        chosen.clear();
        for last in n - k..n {
            let number = self.below(last + 1);
            let place = chosen.binary_search(&number);
            match place {
                Ok(_) => chosen.push(last),
                Err(at) => chosen.insert(at, number),
            }
        }
    }
}

/// What is drawn for a cell: the jitter of its conductances (mS/cm²) by lane, and V(0) (mV).
pub(crate) fn cell(seed: u64, cell: &Cell, mut gbar: Vec<f64>) -> (Vec<f64>, Option<f64>) {
    if cell.jitter.is_none() && cell.start_range.is_none() {
        return (gbar, cell.start.v);
    }
    let mut stream = Stream::new(seed, &cell.name);
    // V comes first whether it is drawn or not, then the channels by lane.
    let (low, high) = cell.start_range.unwrap_or_default();
    let v = stream.uniform(low, high);
    for (g, jitter) in gbar
        .iter_mut()
        .zip(cell.jitter.iter().flat_map(|j| j.iter()))
    {
        *g *= stream.uniform(1.0 - jitter, 1.0 + jitter);
    }
    (gbar, cell.start_range.map(|_| v).or(cell.start.v))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_belongs_to_its_seed_and_path_alone() {
        let first = |seed, path| Stream::new(seed, path).unit();
        assert_eq!(first(1, "E[0]"), first(1, "E[0]"));
        assert_ne!(first(1, "E[0]"), first(1, "E[1]"));
        assert_ne!(first(1, "E[0]"), first(2, "E[0]"));
    }

    #[test]
    fn a_sample_holds_every_number_equally_often() {
        let mut stream = Stream::new(7, "sample");
        let (mut counts, mut chosen) = ([0_u32; 10], Vec::new());
        for _ in 0..10_000 {
            stream.sample(10, 4, &mut chosen);
            assert!(chosen.is_sorted_by(|a, b| a < b), "{chosen:?}");
            assert_eq!(chosen.len(), 4);
            chosen.iter().for_each(|k| counts[*k as usize] += 1);
        }
        // 4000 each, standard deviation 49.
        assert!(counts.iter().all(|n| n.abs_diff(4000) < 250), "{counts:?}");
        stream.sample(10, 10, &mut chosen);
        assert_eq!(chosen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn distributions_have_the_moments_they_are_asked_for() {
        let mut stream = Stream::new(3, "moments");
        let mut mean = |distribution| {
            let draws = (0..100_000).map(|_| stream.draw(distribution));
            draws.sum::<f64>() / 100_000.0
        };
        let uniform = Distribution::Uniform { from: 1.0, to: 3.0 };
        assert!((mean(uniform) - 2.0).abs() < 0.01);
        let normal = Distribution::Normal { mean: 5.0, sd: 1.0 };
        assert!((mean(normal) - 5.0).abs() < 0.02);
        // exp(mu + sigma^2/2)
        let (median, sigma) = (2.0, 0.5);
        let log_normal = Distribution::LogNormal { median, sigma };
        assert!((mean(log_normal) - 2.0 * math::exp(0.125)).abs() < 0.02);
        // Half a normal distribution: sqrt(2/pi).
        let half = Distribution::Normal { mean: 0.0, sd: 1.0 };
        assert!((mean(half) - 0.797_885).abs() < 0.01);
    }
}
