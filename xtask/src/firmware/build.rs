//! Building the firmware with cargo.

use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde::Deserialize;

use super::boards::Chip;

/// Which program of `firmware/esp`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The firmware.
    Firmware,
    /// The bare stack that the firmware is measured against.
    Bare,
}

/// Builds `program` for `chip` and returns the ELF file's bytes.
pub fn build(root: &Path, chip: &Chip, program: Program) -> Result<Vec<u8>, Box<dyn Error>> {
    let dir = root.join("firmware/esp");
    // What the environment says of this program's own build must not reach that one.
    let mut cargo = Command::new(if chip.is_xtensa() {
        "cargo".into()
    } else {
        own_cargo()
    });
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    if chip.is_xtensa() {
        require_xtensa_toolchain()?;
        cargo.env_remove("RUSTUP_TOOLCHAIN").arg("+esp");
    }
    cargo
        .current_dir(&dir)
        .args(["build", "--release", "--locked"])
        .args(["--target", &chip.target, "--features", &chip.name])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--config")
        .arg(remapped_paths(root, &chip.target));
    if chip.is_xtensa() {
        cargo.arg("-Zbuild-std=core,alloc");
    }
    match program {
        Program::Firmware => cargo.args(["--bin", "declic-firmware"]),
        Program::Bare => cargo.args(["--example", "bare"]),
    };
    let mut child = cargo.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("cargo has no stdout")?;
    let mut elf = None;
    for line in BufReader::new(stdout).lines() {
        if let Ok(Message {
            executable: Some(path),
        }) = serde_json::from_str(&line?)
        {
            elf = Some(path);
        }
    }
    if !child.wait()?.success() {
        return Err(format!("the firmware for {} does not build", chip.title).into());
    }
    Ok(fs::read(elf.ok_or("cargo names no program")?)?)
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

fn own_cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Panics name the file they happened in: say that without naming the builder's directories, which
/// would also make the image larger.
fn remapped_paths(root: &Path, target: &str) -> String {
    let home = env::var("CARGO_HOME").or_else(|_| {
        let home = env::var("HOME").or_else(|_| env::var("USERPROFILE"));
        home.map(|home| format!("{home}/.cargo"))
    });
    let registry = format!("{}/registry/src", home.unwrap_or_default());
    // Below that is one directory per registry, with a hash in its name.
    let registries = fs::read_dir(&registry).into_iter().flatten().flatten();
    let flags: Vec<_> = registries
        .map(|entry| entry.path())
        .chain([root.to_path_buf()])
        .chain(standard_library())
        .map(|path| format!("'--remap-path-prefix={}/='", path.display()))
        .collect();
    format!("target.{target}.rustflags=[{}]", flags.join(","))
}

/// Where the standard library's source lies, if it is installed.
fn standard_library() -> Option<PathBuf> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = String::from_utf8(rustc.ok()?.stdout).ok()?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib/src/rust"))
}

fn require_xtensa_toolchain() -> Result<(), Box<dyn Error>> {
    let rustc = Command::new("rustc")
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["+esp", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if rustc.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(
        "this chip needs Espressif's Rust toolchain, which is not installed. \
         Run `cargo install espup`, then `espup install`, and load the file it names"
            .into(),
    )
}
