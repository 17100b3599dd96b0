//! Eight numbers at a time, with the same bits on every processor.
//!
//! [`Simd`] is what a vector width offers: IEEE operations and fused multiply-adds on eight
//! numbers, each exact for itself, so that one body of code gives the same bits whether it runs on
//! AVX-512, on AVX2 or on plain arrays. [`Eight`] makes numbers of them, on which formulas read as
//! on `f64`; [`Real`] is what both have in common.
//!
//! The architecture's intrinsics are called in [`avx512`] and [`avx2`] alone. Their types can only
//! be made where the processor's features are known, which is what makes every call sound.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
mod portable;

use std::ops::{Add, Div, Mul, Neg, Sub};

pub use portable::Portable;

/// Numbers in a vector.
pub const LANES: usize = 8;

/// Eight numbers in memory.
pub type Row = [f64; LANES];

/// Operations on eight numbers. All are lane by lane.
pub trait Simd: Copy + Send + Sync {
    /// Eight numbers.
    type Vector: Copy;
    /// Eight truth values.
    type Mask: Copy;

    /// The same number eight times.
    fn splat(self, x: f64) -> Self::Vector;
    /// From memory.
    fn load(self, x: &Row) -> Self::Vector;
    /// From eight scalars.
    fn gather(self, x: Row) -> Self::Vector;
    /// To memory.
    fn store(self, x: Self::Vector, to: &mut Row);
    /// a + b
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a - b
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a / b
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b + c, rounded once
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a < b; false where one is no number
    fn less(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// a where the mask is set, else b
    fn select(self, mask: Self::Mask, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The mask with bit k for lane k.
    fn mask(self, bits: u8) -> Self::Mask;
    /// Bit k for lane k.
    fn bits(self, mask: Self::Mask) -> u8;
    /// The number whose bits are those of `x` plus those of `k` shifted into the exponent; see
    /// [`crate::math::exp`].
    fn add_exponent(self, x: Self::Vector, k: Self::Vector) -> Self::Vector;
    /// Whole parts of numbers within the range of `i32`, as numbers and as integers.
    fn whole(self, x: Self::Vector) -> (Self::Vector, [i32; LANES]);
    /// Number i of row j becomes lane j of vector i.
    fn columns(self, rows: [&[f64; 4]; LANES]) -> [Self::Vector; 4];
    /// Lane i of vector j becomes lane j of vector i.
    fn transpose(self, rows: [Self::Vector; LANES]) -> [Self::Vector; LANES];
    /// Does a task in a function of its own, compiled for this vector width.
    fn call<T: Task>(self, task: T) -> T::Output;
}

/// Work for any vector width. Its body must be inlined (`#[inline(always)]`) to be compiled for
/// the width of the caller.
pub trait Task {
    /// What comes out.
    type Output;

    /// Does it.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Arithmetic that `f64` and [`Eight`] share.
pub trait Real:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// A constant of this kind of number.
    fn constant(self, x: f64) -> Self;
    /// self a + b, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Whether self < bound anywhere.
    fn any_less(self, bound: Self) -> bool;
    /// `yes` where self < bound, else `no`.
    fn if_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// The number whose bits are those of self plus those of `k` shifted into the exponent.
    fn add_exponent(self, k: Self) -> Self;
}

impl Real for f64 {
    #[inline(always)]
    fn constant(self, x: f64) -> f64 {
        x
    }

    #[inline(always)]
    fn mul_add(self, a: f64, b: f64) -> f64 {
        f64::mul_add(self, a, b)
    }

    #[inline(always)]
    fn any_less(self, bound: f64) -> bool {
        self < bound
    }

    #[inline(always)]
    fn if_less(self, bound: f64, yes: f64, no: f64) -> f64 {
        if self < bound { yes } else { no }
    }

    #[inline(always)]
    fn add_exponent(self, k: f64) -> f64 {
        f64::from_bits(self.to_bits().wrapping_add(k.to_bits() << 52))
    }
}

/// Eight numbers of a vector width.
#[derive(Clone, Copy)]
pub struct Eight<S: Simd> {
    simd: S,
    vector: S::Vector,
}

impl<S: Simd> Eight<S> {
    /// The same number eight times.
    #[inline(always)]
    pub fn splat(simd: S, x: f64) -> Self {
        let vector = simd.splat(x);
        Eight { simd, vector }
    }

    /// From memory.
    #[inline(always)]
    pub fn load(simd: S, x: &Row) -> Self {
        let vector = simd.load(x);
        Eight { simd, vector }
    }

    /// From eight scalars.
    #[inline(always)]
    pub fn gather(simd: S, x: Row) -> Self {
        let vector = simd.gather(x);
        Eight { simd, vector }
    }

    /// From memory, of the same vector width.
    #[inline(always)]
    pub fn from_array(self, x: &Row) -> Self {
        Eight::load(self.simd, x)
    }

    /// From eight scalars, of the same vector width.
    #[inline(always)]
    pub fn gathered(self, x: Row) -> Self {
        Eight::gather(self.simd, x)
    }

    /// To memory.
    #[inline(always)]
    pub fn store(self, to: &mut Row) {
        self.simd.store(self.vector, to);
    }

    /// As an array.
    #[inline(always)]
    pub fn array(self) -> Row {
        let mut array = [0.0; LANES];
        self.store(&mut array);
        array
    }

    /// Bit k: whether lane k is less than that of `other`.
    #[inline(always)]
    pub fn less(self, other: Self) -> u8 {
        self.simd.bits(self.simd.less(self.vector, other.vector))
    }

    /// self in the lanes of `bits`, else `other`.
    #[inline(always)]
    pub fn keep(self, bits: u8, other: Self) -> Self {
        let vector = self
            .simd
            .select(self.simd.mask(bits), self.vector, other.vector);
        Eight { vector, ..self }
    }

    /// self times `factor` in the lanes of `bits`, else self.
    #[inline(always)]
    pub fn times_in(self, bits: u8, factor: Self) -> Self {
        (self * factor).keep(bits, self)
    }

    /// Whole parts, as numbers and as integers.
    #[inline(always)]
    pub fn whole(self) -> (Self, [i32; LANES]) {
        let (vector, integers) = self.simd.whole(self.vector);
        (Eight { vector, ..self }, integers)
    }

    /// Number i of row j becomes lane j of vector i.
    #[inline(always)]
    pub fn columns(self, rows: [&[f64; 4]; LANES]) -> [Self; 4] {
        let vectors = self.simd.columns(rows);
        let mut columns = [self; 4];
        for k in 0..4 {
            columns[k].vector = vectors[k];
        }
        columns
    }

    /// Lane i of vector j becomes lane j of vector i.
    #[inline(always)]
    pub fn transpose(simd: S, rows: [Self; LANES]) -> [Self; LANES] {
        let mut vectors = [rows[0].vector; LANES];
        for k in 0..LANES {
            vectors[k] = rows[k].vector;
        }
        let vectors = simd.transpose(vectors);
        let mut columns = rows;
        for k in 0..LANES {
            columns[k].vector = vectors[k];
        }
        columns
    }
}

impl<S: Simd> Add for Eight<S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        let vector = self.simd.add(self.vector, b.vector);
        Eight { vector, ..self }
    }
}

impl<S: Simd> Sub for Eight<S> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        let vector = self.simd.sub(self.vector, b.vector);
        Eight { vector, ..self }
    }
}

impl<S: Simd> Mul for Eight<S> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        let vector = self.simd.mul(self.vector, b.vector);
        Eight { vector, ..self }
    }
}

impl<S: Simd> Div for Eight<S> {
    type Output = Self;

    #[inline(always)]
    fn div(self, b: Self) -> Self {
        let vector = self.simd.div(self.vector, b.vector);
        Eight { vector, ..self }
    }
}

impl<S: Simd> Neg for Eight<S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        self * self.constant(-1.0)
    }
}

impl<S: Simd> Real for Eight<S> {
    #[inline(always)]
    fn constant(self, x: f64) -> Self {
        Eight::splat(self.simd, x)
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        let vector = self.simd.mul_add(self.vector, a.vector, b.vector);
        Eight { vector, ..self }
    }

    #[inline(always)]
    fn any_less(self, bound: Self) -> bool {
        self.less(bound) != 0
    }

    #[inline(always)]
    fn if_less(self, bound: Self, yes: Self, no: Self) -> Self {
        let mask = self.simd.less(self.vector, bound.vector);
        let vector = self.simd.select(mask, yes.vector, no.vector);
        Eight { vector, ..self }
    }

    #[inline(always)]
    fn add_exponent(self, k: Self) -> Self {
        let vector = self.simd.add_exponent(self.vector, k.vector);
        Eight { vector, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::integrate::{Kernel, dispatch::run as run_task};

    /// Every operation on some numbers; what comes out, as bits.
    struct Everything {
        rows: [Row; LANES],
        bits: u8,
    }

    impl Task for Everything {
        type Output = Vec<u64>;

        fn run<S: Simd>(self, simd: S) -> Vec<u64> {
            let x = self.rows.map(|row| Eight::load(simd, &row));
            let [a, b, c, ..] = x;
            let (whole, integers) = (a * a.constant(1e-5)).whole();
            let fours = self.rows.each_ref().map(|row| row.first_chunk().unwrap());
            let mut out = vec![
                a + b,
                a - b,
                a * b,
                a / b,
                -a,
                a.mul_add(b, c),
                a.if_less(b, c, a),
                a.keep(self.bits, b),
                a.times_in(self.bits, b),
                a.constant(1.5).add_exponent(b),
                Eight::gather(simd, self.rows[3]),
                whole,
            ];
            out.extend(Eight::transpose(simd, x));
            out.extend(a.columns(fours));
            let numbers = out.into_iter().flat_map(Eight::array);
            let mut bits: Vec<u64> = numbers.map(f64::to_bits).collect();
            bits.extend(integers.map(|k| k as u64));
            bits.push(u64::from(a.less(b)));
            bits
        }
    }

    proptest! {
        #[test]
        fn every_width_has_the_bits_of_plain_arrays(
            rows in prop::array::uniform8(prop::array::uniform8(-1e6..1e6_f64)),
            bits: u8,
        ) {
            let plain = run_task(Kernel::Portable, Everything { rows, bits });
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.available()) {
                prop_assert_eq!(&plain, &run_task(kernel, Everything { rows, bits }), "{:?}", kernel);
            }
        }
    }
}
