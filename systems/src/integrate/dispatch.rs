//! Entry points of the step loops, compiled once for the baseline and once for processors with
//! AVX2 and FMA, chosen at run time. Every fused operation is written as one, so both give the
//! same bits; without FMA in hardware it is a slow library call.
//!
//! The only unsafe code of the engine: calls of functions whose processor features have been found
//! present.

use super::exponential::{Coupled, Piece, run_coupled, run_piece};
use super::reference::{Ode, StepError, integrate};

/// Whether the processor has the features of the wider entry points.
pub fn has_fma() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Runs all steps of a piece of uncoupled rows.
pub fn piece<const W: usize>(piece: Piece<W>) {
    #[cfg(target_arch = "x86_64")]
    if has_fma() {
        // SAFETY: `piece_fma` needs AVX2 and FMA, which `has_fma` has found.
        return unsafe { piece_fma(piece) };
    }
    run_piece(piece);
}

/// Runs all steps of a coupled network.
pub fn coupled(network: Coupled) {
    #[cfg(target_arch = "x86_64")]
    if has_fma() {
        // SAFETY: `coupled_fma` needs AVX2 and FMA, which `has_fma` has found.
        return unsafe { coupled_fma(network) };
    }
    run_coupled(network);
}

/// Integrates a network as one ODE from `t0` to `t1` (ms).
pub fn ode(ode: &mut Ode, t0: f64, t1: f64) -> Result<(), StepError> {
    #[cfg(target_arch = "x86_64")]
    if has_fma() {
        // SAFETY: `ode_fma` needs AVX2 and FMA, which `has_fma` has found.
        return unsafe { ode_fma(ode, t0, t1) };
    }
    integrate(ode, t0, t1)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn ode_fma(ode: &mut Ode, t0: f64, t1: f64) -> Result<(), StepError> {
    integrate(ode, t0, t1)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn piece_fma<const W: usize>(piece: Piece<W>) {
    run_piece(piece);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn coupled_fma(network: Coupled) {
    run_coupled(network);
}
