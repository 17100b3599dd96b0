//! Entry points of the step loops, compiled for several vector widths and chosen at run time. Every
//! fused operation is written as one, so all give the same bits; without FMA in hardware it is a
//! slow library call.
//!
//! The only unsafe code of the engine: calls of functions whose processor features have been found
//! present.

use super::accurate::{self, Batch, Bench, Network, run_network};
use super::exponential::{Coupled, Piece, run_coupled, run_piece};
use super::reference::{Ode, StepError, integrate};
use crate::simd::Portable;

/// A vector width with fused operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Avx512 => "avx512",
            Kernel::Avx2 => "avx2",
            Kernel::Portable => "portable",
        }
    }
}

/// A function with the body `$body`, inlined into a copy for each vector width.
macro_rules! dispatched {
    (
        $(#[$doc:meta])*
        $name:ident $(<const $W:ident: usize>)? ($($argument:ident: $type:ty),*) -> $out:ty = $body:ident
    ) => {
        $(#[$doc])*
        pub fn $name $(<const $W: usize>)? ($($argument: $type),*) -> $out {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
                fn avx512 $(<const $W: usize>)? ($($argument: $type),*) -> $out {
                    $body($($argument),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<const $W: usize>)? ($($argument: $type),*) -> $out {
                    $body($($argument),*)
                }
                match Kernel::detect() {
                    // SAFETY: the features that `avx512` is compiled for have been detected.
                    Kernel::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: the features that `avx2` is compiled for have been detected.
                    Kernel::Avx2 => return unsafe { avx2($($argument),*) },
                    Kernel::Portable => {}
                }
            }
            $body($($argument),*)
        }
    };
}

dispatched! {
    /// Runs all steps of a piece of uncoupled rows.
    piece<const W: usize>(piece: Piece<W>) -> () = run_piece
}

dispatched! {
    /// Runs all steps of a coupled network.
    coupled(network: Coupled) -> () = run_coupled
}

dispatched! {
    /// Integrates a network as one ODE from `t0` to `t1` (ms).
    ode(ode: &mut Ode, t0: f64, t1: f64) -> Result<(), StepError> = integrate
}

dispatched! {
    /// Takes a coupled network from `from` to `to` (ms) by the accurate scheme.
    network(network: &mut Network, from: f64, to: f64) -> () = run_network
}

/// Takes a batch of neurons through its window by the accurate scheme.
pub fn batch(bench: &mut Bench, batch: Batch) {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::{avx2::Avx2, avx512::Avx512};
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
        fn avx512(bench: &mut Bench, batch: Batch) {
            // SAFETY: this function runs only where the features have been detected.
            accurate::run(unsafe { Avx512::new() }, bench, batch)
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(bench: &mut Bench, batch: Batch) {
            // SAFETY: this function runs only where the features have been detected.
            accurate::run(unsafe { Avx2::new() }, bench, batch)
        }
        match Kernel::detect() {
            // SAFETY: the features that `avx512` is compiled for have been detected.
            Kernel::Avx512 => return unsafe { avx512(bench, batch) },
            // SAFETY: the features that `avx2` is compiled for have been detected.
            Kernel::Avx2 => return unsafe { avx2(bench, batch) },
            Kernel::Portable => {}
        }
    }
    accurate::run(Portable, bench, batch)
}
