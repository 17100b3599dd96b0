//! The choice of vector width at run time. All give the same bits ([`crate::simd`]).
//!
//! The only unsafe code of the engine beside the intrinsics: the statement that the processor has
//! the features that were detected.

use bevy_ecs::prelude::*;

use crate::nearest::nearest;
use crate::simd::{Portable, Simd, Task};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// A vector width with fused operations. A world's is a resource; every one gives the same bits.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// 512 bits: AVX-512 F, DQ, VL, BW.
    Avx512,
    /// 256 bits: AVX2 and FMA.
    Avx2,
    /// What every processor of the target has.
    Portable,
}

/// Why there is no kernel of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// No kernel is called so.
    #[error("there is no kernel `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The processor lacks what the kernel is made of.
    #[error("kernel `{kernel}` needs {features}, which this processor does not have")]
    Unavailable {
        /// Name of the kernel.
        kernel: &'static str,
        /// What it needs.
        features: &'static str,
    },
}

impl Kernel {
    /// Every kernel, the widest first.
    pub const ALL: [Kernel; 3] = [Kernel::Avx512, Kernel::Avx2, Kernel::Portable];

    /// Name that asks for [`Kernel::detect`].
    pub const AUTO: &'static str = "auto";

    /// Whether this processor has what the kernel is made of.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 =
                has!("avx512f") && has!("avx512dq") && has!("avx512vl") && has!("avx512bw");
            match self {
                Kernel::Avx512 => avx2 && avx512,
                Kernel::Avx2 => avx2,
                Kernel::Portable => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Kernel::Portable
        }
    }

    /// The widest that this processor has.
    pub fn detect() -> Kernel {
        let widest = Kernel::ALL.into_iter().find(|kernel| kernel.available());
        widest.unwrap_or(Kernel::Portable)
    }

    /// The kernel of a name; `auto` is the widest that this processor has.
    ///
    /// # Errors
    /// See [`KernelError`].
    pub fn named(name: &str) -> Result<Kernel, KernelError> {
        if name == Kernel::AUTO {
            return Ok(Kernel::detect());
        }
        let names = || Kernel::ALL.into_iter().map(Kernel::name);
        let kernel = Kernel::ALL.into_iter().find(|kernel| kernel.name() == name);
        let kernel = kernel.ok_or_else(|| KernelError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, names().chain([Kernel::AUTO])),
        })?;
        match kernel.available() {
            true => Ok(kernel),
            false => Err(KernelError::Unavailable {
                kernel: kernel.name(),
                features: kernel.features(),
            }),
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

    /// What a processor needs for it, in words.
    pub fn features(self) -> &'static str {
        match self {
            Kernel::Avx512 => "AVX-512 (F, DQ, VL and BW), AVX2 and FMA",
            Kernel::Avx2 => "AVX2 and FMA",
            Kernel::Portable => "nothing",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_there_by_name_where_the_processor_has_it() {
        for kernel in Kernel::ALL {
            let missing = KernelError::Unavailable {
                kernel: kernel.name(),
                features: kernel.features(),
            };
            let expected = match kernel.available() {
                true => Ok(kernel),
                false => Err(missing),
            };
            assert_eq!(Kernel::named(kernel.name()), expected);
        }
        assert_eq!(Kernel::named("auto"), Ok(Kernel::detect()));
        assert!(Kernel::detect().available());
    }

    #[test]
    fn errors_say_what_was_meant_and_what_is_missing() {
        let error = Kernel::named("avx51").unwrap_err();
        assert_eq!(error.to_string(), "there is no kernel `avx51`");
        let KernelError::Unknown { nearest, .. } = error else {
            panic!("it is not known");
        };
        assert_eq!(nearest, Some("avx512"));
        let error = KernelError::Unavailable {
            kernel: "avx2",
            features: Kernel::Avx2.features(),
        };
        assert_eq!(
            error.to_string(),
            "kernel `avx2` needs AVX2 and FMA, which this processor does not have"
        );
    }
}
