//! Eight numbers in two AVX2 registers.
//!
//! Every method calls intrinsics of AVX2 and FMA. They are sound because an [`Avx2`] exists only
//! where these features have been detected, which [`Avx2::new`] demands.

use std::arch::x86_64::*;

use super::{LANES, Row, Simd};

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The proof.
    ///
    /// # Safety
    /// The processor has AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Avx2(())
    }
}

/// All ones in the lanes of a four-bit number.
const MASKS: [[u64; 4]; 16] = {
    let mut masks = [[0; 4]; 16];
    let mut bits = 0;
    while bits < 16 {
        let mut lane = 0;
        while lane < 4 {
            if bits >> lane & 1 == 1 {
                masks[bits][lane] = u64::MAX;
            }
            lane += 1;
        }
        bits += 1;
    }
    masks
};

/// A register of four, transposed with three others.
#[inline(always)]
fn transpose_four(_: Avx2, [a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    // SAFETY: the first argument proves the features.
    unsafe {
        let ab = _mm256_unpacklo_pd(a, b);
        let ab_odd = _mm256_unpackhi_pd(a, b);
        let cd = _mm256_unpacklo_pd(c, d);
        let cd_odd = _mm256_unpackhi_pd(c, d);
        [
            _mm256_permute2f128_pd::<0x20>(ab, cd),
            _mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd),
            _mm256_permute2f128_pd::<0x31>(ab, cd),
            _mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd),
        ]
    }
}

impl Simd for Avx2 {
    type Vector = [__m256d; 2];
    type Mask = [__m256d; 2];

    #[inline(always)]
    fn splat(self, x: f64) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe { [_mm256_set1_pd(x); 2] }
    }

    #[inline(always)]
    fn load(self, x: &Row) -> [__m256d; 2] {
        // SAFETY: `self` proves the features; both halves lie in the row, loads are unaligned.
        unsafe {
            [
                _mm256_loadu_pd(x.as_ptr()),
                _mm256_loadu_pd(x.as_ptr().add(4)),
            ]
        }
    }

    #[inline(always)]
    fn gather(self, x: Row) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe {
            [
                _mm256_setr_pd(x[0], x[1], x[2], x[3]),
                _mm256_setr_pd(x[4], x[5], x[6], x[7]),
            ]
        }
    }

    #[inline(always)]
    fn store(self, x: [__m256d; 2], to: &mut Row) {
        // SAFETY: `self` proves the features; both halves lie in the row, stores are unaligned.
        unsafe {
            _mm256_storeu_pd(to.as_mut_ptr(), x[0]);
            _mm256_storeu_pd(to.as_mut_ptr().add(4), x[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe { [_mm256_add_pd(a[0], b[0]), _mm256_add_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe { [_mm256_sub_pd(a[0], b[0]), _mm256_sub_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe { [_mm256_mul_pd(a[0], b[0]), _mm256_mul_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe { [_mm256_div_pd(a[0], b[0]), _mm256_div_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: [__m256d; 2], b: [__m256d; 2], c: [__m256d; 2]) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe {
            [
                _mm256_fmadd_pd(a[0], b[0], c[0]),
                _mm256_fmadd_pd(a[1], b[1], c[1]),
            ]
        }
    }

    #[inline(always)]
    fn less(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe {
            [
                _mm256_cmp_pd::<_CMP_LT_OQ>(a[0], b[0]),
                _mm256_cmp_pd::<_CMP_LT_OQ>(a[1], b[1]),
            ]
        }
    }

    #[inline(always)]
    fn select(
        self,
        mask: [__m256d; 2],
        a: [__m256d; 2],
        b: [__m256d; 2],
    ) -> [__m256d; 2] {
        // SAFETY: `self` proves the features.
        unsafe {
            [
                _mm256_blendv_pd(b[0], a[0], mask[0]),
                _mm256_blendv_pd(b[1], a[1], mask[1]),
            ]
        }
    }

    #[inline(always)]
    fn mask(self, bits: u8) -> [__m256d; 2] {
        let low = &MASKS[usize::from(bits & 15)];
        let high = &MASKS[usize::from(bits >> 4)];
        // SAFETY: `self` proves the features; a row of `MASKS` has four places.
        unsafe {
            [
                _mm256_loadu_pd(low.as_ptr().cast()),
                _mm256_loadu_pd(high.as_ptr().cast()),
            ]
        }
    }

    #[inline(always)]
    fn bits(self, mask: [__m256d; 2]) -> u8 {
        // SAFETY: `self` proves the features.
        let four = unsafe { [_mm256_movemask_pd(mask[0]), _mm256_movemask_pd(mask[1])] };
        (four[0] | four[1] << 4) as u8
    }

    #[inline(always)]
    fn add_exponent(self, x: [__m256d; 2], k: [__m256d; 2]) -> [__m256d; 2] {
        let mut sum = x;
        for half in 0..2 {
            // SAFETY: `self` proves the features.
            sum[half] = unsafe {
                let exponent = _mm256_slli_epi64::<52>(_mm256_castpd_si256(k[half]));
                let bits = _mm256_castpd_si256(x[half]);
                _mm256_castsi256_pd(_mm256_add_epi64(bits, exponent))
            };
        }
        sum
    }

    #[inline(always)]
    fn whole(self, x: [__m256d; 2]) -> ([__m256d; 2], [i32; LANES]) {
        let mut integers = [0_i32; LANES];
        // SAFETY: `self` proves the features; each store fills half of the eight places.
        let whole = unsafe {
            let low = _mm256_cvttpd_epi32(x[0]);
            let high = _mm256_cvttpd_epi32(x[1]);
            _mm_storeu_si128(integers.as_mut_ptr().cast(), low);
            _mm_storeu_si128(integers.as_mut_ptr().add(4).cast(), high);
            [_mm256_cvtepi32_pd(low), _mm256_cvtepi32_pd(high)]
        };
        (whole, integers)
    }

    #[inline(always)]
    fn transpose(self, r: [[__m256d; 2]; LANES]) -> [[__m256d; 2]; LANES] {
        let mut columns = r;
        for half in 0..2 {
            let low = transpose_four(self, [r[0][half], r[1][half], r[2][half], r[3][half]]);
            let high = transpose_four(self, [r[4][half], r[5][half], r[6][half], r[7][half]]);
            for k in 0..4 {
                columns[4 * half + k] = [low[k], high[k]];
            }
        }
        columns
    }
}
