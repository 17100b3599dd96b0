//! Eight numbers in one AVX-512 register.
//!
//! Every method calls intrinsics of AVX-512 F, DQ and VL. They are sound because an [`Avx512`]
//! exists only where these features have been detected, which [`Avx512::new`] demands.

use std::arch::x86_64::*;

use super::{LANES, Row, Simd, Task};

/// Proof that the processor has AVX-512 F, DQ, VL, BW, AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The proof.
    ///
    /// # Safety
    /// The processor has AVX-512 F, DQ, VL, BW, AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Avx512(())
    }
}

impl Simd for Avx512 {
    type Vector = __m512d;
    type Mask = __mmask8;

    #[inline(always)]
    fn splat(self, x: f64) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_set1_pd(x) }
    }

    #[inline(always)]
    fn load(self, x: &Row) -> __m512d {
        // SAFETY: `self` proves the features; a row is eight numbers, and the load is unaligned.
        unsafe { _mm512_loadu_pd(x.as_ptr()) }
    }

    #[inline(always)]
    fn gather(self, x: Row) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_setr_pd(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]) }
    }

    #[inline(always)]
    fn store(self, x: __m512d, to: &mut Row) {
        // SAFETY: `self` proves the features; a row is eight numbers, and the store is unaligned.
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_add_pd(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_sub_pd(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_mul_pd(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_div_pd(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn less(self, a: __m512d, b: __m512d) -> __mmask8 {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __mmask8, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_mask_blend_pd(mask, b, a) }
    }

    #[inline(always)]
    fn mask(self, bits: u8) -> __mmask8 {
        bits
    }

    #[inline(always)]
    fn bits(self, mask: __mmask8) -> u8 {
        mask
    }

    #[inline(always)]
    fn add_exponent(self, x: __m512d, k: __m512d) -> __m512d {
        // SAFETY: `self` proves the features.
        unsafe {
            let exponent = _mm512_slli_epi64::<52>(_mm512_castpd_si512(k));
            _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), exponent))
        }
    }

    #[inline(always)]
    fn whole(self, x: __m512d) -> (__m512d, [i32; LANES]) {
        let mut integers = [0; LANES];
        // SAFETY: `self` proves the features; the store is unaligned and has eight places.
        unsafe {
            let truncated = _mm512_cvttpd_epi32(x);
            _mm256_storeu_si256(integers.as_mut_ptr().cast(), truncated);
            (_mm512_cvtepi32_pd(truncated), integers)
        }
    }

    #[inline(always)]
    fn columns(self, rows: [&[f64; 4]; LANES]) -> [__m512d; 4] {
        // SAFETY: `self` proves the features; a row has the four numbers that are loaded.
        unsafe {
            let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
            // Rows 0 and 1, 2 and 3, ... side by side.
            let a = _mm512_castpd256_pd512(_mm256_loadu_pd(r0.as_ptr()));
            let a = _mm512_insertf64x4::<1>(a, _mm256_loadu_pd(r1.as_ptr()));
            let b = _mm512_castpd256_pd512(_mm256_loadu_pd(r2.as_ptr()));
            let b = _mm512_insertf64x4::<1>(b, _mm256_loadu_pd(r3.as_ptr()));
            let c = _mm512_castpd256_pd512(_mm256_loadu_pd(r4.as_ptr()));
            let c = _mm512_insertf64x4::<1>(c, _mm256_loadu_pd(r5.as_ptr()));
            let d = _mm512_castpd256_pd512(_mm256_loadu_pd(r6.as_ptr()));
            let d = _mm512_insertf64x4::<1>(d, _mm256_loadu_pd(r7.as_ptr()));
            // Columns 0 and 1 of four rows, then columns 2 and 3.
            let first = _mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13);
            let last = _mm512_setr_epi64(2, 6, 10, 14, 3, 7, 11, 15);
            let ab = _mm512_permutex2var_pd(a, first, b);
            let ab_last = _mm512_permutex2var_pd(a, last, b);
            let cd = _mm512_permutex2var_pd(c, first, d);
            let cd_last = _mm512_permutex2var_pd(c, last, d);
            [
                _mm512_shuffle_f64x2::<0b01_00_01_00>(ab, cd),
                _mm512_shuffle_f64x2::<0b11_10_11_10>(ab, cd),
                _mm512_shuffle_f64x2::<0b01_00_01_00>(ab_last, cd_last),
                _mm512_shuffle_f64x2::<0b11_10_11_10>(ab_last, cd_last),
            ]
        }
    }

    #[inline(always)]
    fn transpose(self, r: [__m512d; LANES]) -> [__m512d; LANES] {
        // SAFETY: `self` proves the features.
        unsafe {
            // Pairs: lanes 0, 2, 4, 6 of two rows side by side, then lanes 1, 3, 5, 7.
            let a = _mm512_unpacklo_pd(r[0], r[1]);
            let b = _mm512_unpackhi_pd(r[0], r[1]);
            let c = _mm512_unpacklo_pd(r[2], r[3]);
            let d = _mm512_unpackhi_pd(r[2], r[3]);
            let e = _mm512_unpacklo_pd(r[4], r[5]);
            let f = _mm512_unpackhi_pd(r[4], r[5]);
            let g = _mm512_unpacklo_pd(r[6], r[7]);
            let h = _mm512_unpackhi_pd(r[6], r[7]);
            // Quarters of 128 bits: 0 and 2 of both, then 1 and 3.
            let ac = _mm512_shuffle_f64x2::<0b10_00_10_00>(a, c);
            let ac_odd = _mm512_shuffle_f64x2::<0b11_01_11_01>(a, c);
            let bd = _mm512_shuffle_f64x2::<0b10_00_10_00>(b, d);
            let bd_odd = _mm512_shuffle_f64x2::<0b11_01_11_01>(b, d);
            let eg = _mm512_shuffle_f64x2::<0b10_00_10_00>(e, g);
            let eg_odd = _mm512_shuffle_f64x2::<0b11_01_11_01>(e, g);
            let fh = _mm512_shuffle_f64x2::<0b10_00_10_00>(f, h);
            let fh_odd = _mm512_shuffle_f64x2::<0b11_01_11_01>(f, h);
            [
                _mm512_shuffle_f64x2::<0b10_00_10_00>(ac, eg),
                _mm512_shuffle_f64x2::<0b10_00_10_00>(bd, fh),
                _mm512_shuffle_f64x2::<0b10_00_10_00>(ac_odd, eg_odd),
                _mm512_shuffle_f64x2::<0b10_00_10_00>(bd_odd, fh_odd),
                _mm512_shuffle_f64x2::<0b11_01_11_01>(ac, eg),
                _mm512_shuffle_f64x2::<0b11_01_11_01>(bd, fh),
                _mm512_shuffle_f64x2::<0b11_01_11_01>(ac_odd, eg_odd),
                _mm512_shuffle_f64x2::<0b11_01_11_01>(bd_odd, fh_odd),
            ]
        }
    }

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
        fn compiled<T: Task>(simd: Avx512, task: T) -> T::Output {
            task.run(simd)
        }
        // SAFETY: `self` proves the features that `compiled` is compiled for.
        unsafe { compiled(self, task) }
    }
}
