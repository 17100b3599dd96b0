//! Identity of a scene: what decides the result of a run.

use ron::ser::{PrettyConfig, to_string_pretty};

use super::model::Scene;
use super::spawn::Override;

impl Scene {
    /// blake3, in hexadecimal, of the resolved scene with its overrides, LF line ends, without its
    /// name and what is only observed: duration, windows, rhythms.
    pub fn hash(&self, overrides: &[Override]) -> String {
        let mut identity = self.clone();
        identity.name.clear();
        identity.duration_ms = 0.0;
        identity.windows.clear();
        identity.rhythms.clear();
        let layout = PrettyConfig::new().new_line("\n");
        // Text, numbers and lists are all a scene holds, and all of them can be written.
        let text = to_string_pretty(&(identity, overrides), layout).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
