//! Identity of a scene: what decides the result of a run.

use super::model::{Integrator, Scene};

impl Integrator {
    /// Name in scenes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Integrator::Exponential => "exponential",
            Integrator::Reference => "reference",
        }
    }
}

impl Scene {
    /// blake3 of the resolved scene without duration, windows and rhythms, in hexadecimal.
    pub fn hash(&self) -> String {
        let text = format!("{:?}", self.cells);
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
