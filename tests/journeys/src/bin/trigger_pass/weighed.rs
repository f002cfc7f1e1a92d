//! Another program, and what it costs.

use std::process::{Child, Command, Stdio};

use crate::Result;

/// A program that is weighed, and ended with this value.
pub struct Weighed(pub Child);

impl Drop for Weighed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Weighed {
    /// Starts one whose output nobody reads.
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// The most memory that it has had, in MiB.
    pub fn peak(&self) -> Result<f64> {
        self.memory("VmHWM:")
    }

    /// The memory that it has now, in MiB.
    pub fn resident(&self) -> Result<f64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("it ended before it was weighed")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// The time that it has computed, in milliseconds: the system counts in hundredths of a second.
    pub fn computed(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        Ok((ticks(11) + ticks(12)) * 10.0)
    }
}
