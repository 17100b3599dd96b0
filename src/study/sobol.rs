//! The Sobol sequence: points that fill a cube more evenly than random ones.
//!
//! Direction numbers: `new-joe-kuo-6.21201` of Joe & Kuo, SIAM J. Sci. Comput. 30 (2008) 2635, its
//! first dimensions. A point is computed by itself, in the order of the Gray code, as is usual.

/// Dimensions there are.
pub const DIMENSIONS: usize = 1 + PARAMETERS.len();

/// Degree and coefficients of the primitive polynomial of a dimension, and its initial numbers.
type Parameters = (usize, u64, &'static [u64]);

/// Dimensions from the second on.
const PARAMETERS: [Parameters; 20] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
];

/// Bits of a coordinate.
const BITS: usize = 64;

/// Coordinate `dimension` (below [`DIMENSIONS`]) of point `k`, as the bits behind the point.
pub fn bits(k: u64, dimension: usize) -> u64 {
    let gray = k ^ (k >> 1);
    let mut numbers = [0; BITS];
    directions(dimension, &mut numbers);
    let set = numbers
        .iter()
        .enumerate()
        .filter(|(j, _)| gray >> j & 1 == 1);
    set.fold(0, |point, (_, number)| point ^ number)
}

/// A coordinate in [0, 1) by its bits.
pub fn unit(bits: u64) -> f64 {
    const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
    (bits >> 11) as f64 * UNIT
}

/// The direction numbers of a dimension, each with its leading bit in its place.
fn directions(dimension: usize, numbers: &mut [u64; BITS]) {
    let place = |j: usize| BITS - 1 - j;
    let Some((degree, coefficients, initial)) =
        dimension.checked_sub(1).and_then(|k| PARAMETERS.get(k))
    else {
        for (j, number) in numbers.iter_mut().enumerate() {
            *number = 1 << place(j);
        }
        return;
    };
    for (j, m) in initial.iter().enumerate() {
        numbers[j] = m << place(j);
    }
    for j in *degree..BITS {
        let earlier = numbers[j - degree];
        let mut number = earlier ^ (earlier >> degree);
        for k in 1..*degree {
            if coefficients >> (degree - 1 - k) & 1 == 1 {
                number ^= numbers[j - k];
            }
        }
        numbers[j] = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joe & Kuo publish these with their direction numbers.
    #[test]
    fn the_first_points_are_those_published() {
        let published = [
            [0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25],
            [0.25, 0.75, 0.75],
            [0.375, 0.375, 0.625],
            [0.875, 0.875, 0.125],
            [0.625, 0.125, 0.875],
            [0.125, 0.625, 0.375],
            [0.1875, 0.3125, 0.9375],
            [0.6875, 0.8125, 0.4375],
        ];
        for (k, point) in published.iter().enumerate() {
            for (dimension, x) in point.iter().enumerate() {
                assert_eq!(unit(bits(k as u64, dimension)), *x, "{k} {dimension}");
            }
        }
    }

    #[test]
    fn every_dimension_meets_every_interval_of_a_power_of_two_once() {
        const N: u64 = 1 << 10;
        for dimension in 0..DIMENSIONS {
            let mut met = vec![false; N as usize];
            for k in 0..N {
                met[(unit(bits(k, dimension)) * N as f64) as usize] = true;
            }
            assert!(met.iter().all(|met| *met), "{dimension}");
        }
    }

    #[test]
    fn initial_numbers_are_odd_and_of_their_length() {
        for (degree, coefficients, initial) in PARAMETERS {
            assert_eq!(initial.len(), degree);
            assert!(coefficients < 1 << (degree - 1));
            for (j, m) in initial.iter().enumerate() {
                assert!(m % 2 == 1 && *m < 1 << (j + 1), "{initial:?}");
            }
        }
    }
}
