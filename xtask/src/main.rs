//! What developers run: `cargo xtask firmware`, `cargo xtask docs`, `cargo xtask picture`.

#[cfg(feature = "docs")]
mod docs;
#[cfg(feature = "firmware")]
mod firmware;
mod picture;

use std::path::Path;
use std::process::ExitCode;
use std::{env, error::Error};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    // This package's directory is right below the repository's.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the repository is not where it was")?;
    match arguments.split_first() {
        Some((verb, rest)) if verb == "firmware" => firmware(root, rest),
        Some((verb, rest)) if verb == "docs" => docs(root, rest),
        Some((verb, rest)) if verb == "picture" => picture::run(root, rest),
        Some((flag, [])) if flag == "--help" || flag == "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

#[cfg(feature = "firmware")]
fn firmware(root: &Path, arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    firmware::run(root, arguments)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "firmware"))]
fn firmware(root: &Path, arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    again_with("firmware", root, arguments)
}

#[cfg(feature = "docs")]
fn docs(root: &Path, arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    docs::run(root, arguments)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "docs"))]
fn docs(root: &Path, arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    again_with("docs", root, arguments)
}

/// Builds this program again with what the command `verb` needs, and lets that do it: an ordinary
/// build of the workspace does not pay for it.
#[cfg(not(all(feature = "firmware", feature = "docs")))]
fn again_with(verb: &str, root: &Path, arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let status = std::process::Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "xtask", "--features", verb])
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .args(["--", verb])
        .args(arguments)
        .status()?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

const USAGE: &str = "\
usage: cargo xtask COMMAND

docs       write the reference pages that are made from code and data
firmware   build the firmware's images and measure them; --help tells more
picture    make the README's picture by running `declic up`; needs tmux";
