//! The memory that the process takes.

/// Bytes of memory that the whole process has in use: not what it has asked for, but what the
/// system has given it. `None` where the system doesn't tell.
#[cfg(target_os = "linux")]
pub(super) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn resident_bytes() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_used_is_counted() {
        let used = std::hint::black_box(vec![1_u8; 64 << 20]);
        let bytes = resident_bytes().expect("Linux tells");
        assert!(bytes >= used.len() as u64, "{bytes}");
    }
}
