//! The machine a run was made on, as `run.json` tells it.

use std::fs;
use std::thread;

use serde::Serialize;

/// The machine of this process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Operating system, such as `linux`.
    pub os: &'static str,
    /// Instruction set, such as `x86_64`.
    pub arch: &'static str,
    /// Model name of the processor, where the system tells it in `/proc/cpuinfo`.
    pub cpu: Option<String>,
    /// Processors that this process may use.
    pub cores: Option<usize>,
    /// Memory (GB, 10^9 bytes), where the system tells it in `/proc/meminfo`.
    pub memory_gb: Option<f64>,
}

impl Machine {
    /// Looks at the machine; what cannot be read is left out.
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Machine {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: thread::available_parallelism().ok().map(usize::from),
            memory_gb: field(&read("/proc/meminfo"), "MemTotal").and_then(|text| gigabytes(&text)),
        }
    }
}

/// The value of the first `name : value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })?;
    (!value.is_empty()).then(|| value.to_string())
}

/// `32773404 kB` in GB, to one decimal.
fn gigabytes(text: &str) -> Option<f64> {
    let kibibytes: f64 = text.strip_suffix("kB")?.trim().parse().ok()?;
    Some((kibibytes * 1024.0 / 1e8).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_system_tells() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.80GHz\nflags\t: fpu\n";
        assert_eq!(
            field(cpuinfo, "model name").as_deref(),
            Some("Intel(R) Xeon(R) CPU @ 2.80GHz")
        );
        assert_eq!(field("processor\t: 0\n", "model name"), None);
        assert_eq!(field("", "model name"), None);
        assert_eq!(gigabytes("32773404 kB"), Some(33.6));
        assert_eq!(gigabytes("much"), None);
    }

    #[test]
    fn is_written_as_one_object() {
        let machine = serde_json::to_value(Machine::here()).expect("it is plain data");
        assert_eq!(machine["os"], std::env::consts::OS);
        assert_eq!(machine["arch"], std::env::consts::ARCH);
        assert!(machine["cores"].as_u64().is_none_or(|n| n > 0));
    }
}
