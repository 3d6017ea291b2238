//! What Linux tells of processes, and how they are kept apart.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that the generator and the brokers are kept on: each its own, where there are two.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    generator: Option<usize>,
    broker: Option<usize>,
}

impl Cores {
    /// Takes the first two cores that this process may use, and keeps it on one of them.
    pub fn take() -> Self {
        let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let cores = match (cores.next(), cores.next()) {
            (Some(generator), Some(broker)) => Self {
                generator: Some(generator),
                broker: Some(broker),
            },
            _ => Self {
                generator: None,
                broker: None,
            },
        };
        keep_on(cores.generator);
        cores
    }

    pub const fn are_apart(self) -> bool {
        self.generator.is_some()
    }

    /// Starts a process on the brokers' core.
    pub fn spawn(self, command: &mut Command) -> io::Result<Child> {
        // A process begins where its parent is.
        keep_on(self.broker);
        let child = command.spawn();
        keep_on(self.generator);
        child
    }
}

fn keep_on(core: Option<usize>) {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        // Where it is not allowed, the figures scatter more; that is all.
        let _ = sched_setaffinity(None, &set);
    }
}

/// CPU time of all threads of a process so far, in user code and in the system.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything, in parentheses.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<u64>().ok());
    let (Some(user), Some(system)) = (next(), next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(
        (user + system) * (1_000_000_000 / ticks_per_second),
    ))
}

/// Bytes of memory that a process has for itself, and its share of what it shares.
pub fn memory(process: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map(|kilobytes| kilobytes * 1_024)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Resident memory of a process in bytes: now, and the most that it ever was.
pub fn resident(process: u32) -> io::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1_024)
    };
    match (field("VmRSS:"), field("VmHWM:")) {
        (Some(now), Some(most)) => Ok((now, most)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The processor and the system, in a few words.
pub fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("an unknown processor", |(_, model)| model.trim());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {model}, Linux {}", release.trim())
}
