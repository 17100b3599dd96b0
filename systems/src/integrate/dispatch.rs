//! The choice of vector width at run time. All give the same bits ([`crate::simd`]).
//!
//! The only unsafe code of the engine beside the intrinsics: the statement that the processor has
//! the features that were detected.

use bevy_ecs::prelude::*;

use crate::simd::{Portable, Simd, Task};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// A vector width with fused operations.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// 512 bits: AVX-512 F, DQ, VL, BW.
    Avx512,
    /// 256 bits: AVX2 and FMA.
    Avx2,
    /// What every processor of the target has.
    Portable,
}

impl Kernel {
    /// The widest that this processor has.
    pub fn detect() -> Kernel {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            if avx2 && has!("avx512f") && has!("avx512dq") && has!("avx512vl") && has!("avx512bw") {
                return Kernel::Avx512;
            }
            if avx2 {
                return Kernel::Avx2;
            }
        }
        Kernel::Portable
    }

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        match (self, Kernel::detect()) {
            (Kernel::Portable, _) | (Kernel::Avx2, Kernel::Avx2) | (_, Kernel::Avx512) => true,
            (Kernel::Avx512, _) | (Kernel::Avx2, Kernel::Portable) => false,
        }
    }

    fn or_detected(self) -> Self {
        if self.available() {
            self
        } else {
            Kernel::detect()
        }
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Avx512 => "avx512",
            Kernel::Avx2 => "avx2",
            Kernel::Portable => "portable",
        }
    }
}

/// Does a task with a kernel; one that this processor lacks falls back to the widest it has.
pub fn run<T: Task>(kernel: Kernel, task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    match kernel.or_detected() {
        Kernel::Avx512 => {
            // SAFETY: `or_detected` gives this kernel only where its features were detected.
            let simd = unsafe { Avx512::new() };
            return simd.call(task);
        }
        Kernel::Avx2 => {
            // SAFETY: `or_detected` gives this kernel only where its features were detected.
            let simd = unsafe { Avx2::new() };
            return simd.call(task);
        }
        Kernel::Portable => {}
    }
    Portable.call(task)
}
