//! Eight numbers as an array, for processors without AVX2 and FMA: correct and slow.

use super::{LANES, Row, Simd, Task};

/// Arrays.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Simd for Portable {
    type Vector = Row;
    type Mask = [bool; LANES];

    #[inline(always)]
    fn splat(self, x: f64) -> Row {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &Row) -> Row {
        *x
    }

    #[inline(always)]
    fn gather(self, x: Row) -> Row {
        x
    }

    #[inline(always)]
    fn store(self, x: Row, to: &mut Row) {
        *to = x;
    }

    #[inline(always)]
    fn add(self, a: Row, b: Row) -> Row {
        std::array::from_fn(|k| a[k] + b[k])
    }

    #[inline(always)]
    fn sub(self, a: Row, b: Row) -> Row {
        std::array::from_fn(|k| a[k] - b[k])
    }

    #[inline(always)]
    fn mul(self, a: Row, b: Row) -> Row {
        std::array::from_fn(|k| a[k] * b[k])
    }

    #[inline(always)]
    fn div(self, a: Row, b: Row) -> Row {
        std::array::from_fn(|k| a[k] / b[k])
    }

    #[inline(always)]
    fn mul_add(self, a: Row, b: Row, c: Row) -> Row {
        std::array::from_fn(|k| a[k].mul_add(b[k], c[k]))
    }

    #[inline(always)]
    fn less(self, a: Row, b: Row) -> [bool; LANES] {
        std::array::from_fn(|k| a[k] < b[k])
    }

    #[inline(always)]
    fn select(self, mask: [bool; LANES], a: Row, b: Row) -> Row {
        std::array::from_fn(|k| if mask[k] { a[k] } else { b[k] })
    }

    #[inline(always)]
    fn mask(self, bits: u8) -> [bool; LANES] {
        std::array::from_fn(|k| bits >> k & 1 == 1)
    }

    #[inline(always)]
    fn bits(self, mask: [bool; LANES]) -> u8 {
        (0..LANES).fold(0, |bits, k| bits | u8::from(mask[k]) << k)
    }

    #[inline(always)]
    fn add_exponent(self, x: Row, k: Row) -> Row {
        std::array::from_fn(|i| f64::from_bits(x[i].to_bits().wrapping_add(k[i].to_bits() << 52)))
    }

    #[inline(always)]
    fn whole(self, x: Row) -> (Row, [i32; LANES]) {
        // Through the integer: -0.5 becomes 0, not -0.
        let integers = x.map(|x| x as i32);
        (integers.map(f64::from), integers)
    }

    #[inline(always)]
    fn columns(self, rows: [&[f64; 4]; LANES]) -> [Row; 4] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }

    #[inline(always)]
    fn transpose(self, rows: [Row; LANES]) -> [Row; LANES] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }

    #[inline(never)]
    fn call<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }
}
