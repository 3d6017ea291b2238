//! What the command keeps from one run to the next, for its owner's eyes only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::error::Error;
use crate::exit_code::ExitCode;

/// Where state is kept: `DECLIC_STATE_DIR`, else `declic` in the platform's state directory
/// (`~/.local/state` on Linux). It need not exist.
///
/// # Errors
/// There is no home directory.
pub fn directory() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        Error::new(ExitCode::Failure, "can't find a place to keep state")
            .because(error)
            .remedy(format!("Name a directory in {VARIABLE}."))
    })?;
    let base = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
    Ok(base.join("declic"))
}

/// Reads the one-line value kept as `name` in `directory`; where there is none, keeps what `make`
/// returns. Only the owner can read it.
///
/// # Errors
/// It can't be read or written, or `make` fails.
pub fn keep(
    directory: &Path,
    name: &str,
    make: impl FnOnce() -> Result<String, Error>,
) -> Result<String, Error> {
    let path = directory.join(name);
    let failed = |error: io::Error| {
        Error::new(
            ExitCode::Failure,
            format!("can't keep {name} in {}", directory.display()),
        )
        .because(error)
        .remedy(format!("Another directory can be named in {VARIABLE}."))
    };
    if let Some(value) = read(&path).map_err(failed)? {
        return Ok(value);
    }
    let value = make()?;
    create_directory(directory).map_err(failed)?;
    write(&path, &value).map_err(failed)?;
    // Another process may have been faster: what lies there holds for both.
    Ok(read(&path).map_err(failed)?.unwrap_or(value))
}

/// The first line of the file; `None` where there is no file, or nothing in it.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let value = text.lines().next().unwrap_or("").trim();
            Ok((!value.is_empty()).then(|| value.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the file there whole, so that nobody reads half a value, and leaves one with a value that
/// is there already.
fn write(path: &Path, value: &str) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = create_file(&temporary)?;
    let done = writeln!(file, "{value}")
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Ok(()) => Ok(()),
            Err(_) if matches!(read(path), Ok(Some(_))) => Ok(()),
            // An empty file, or a file system without hard links.
            Err(_) => fs::rename(&temporary, path),
        });
    let _ = fs::remove_file(&temporary);
    done
}

#[cfg(unix)]
pub fn create_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
pub fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_directory(path: &Path) -> io::Result<()> {
    // A user's own data directory is closed to other users there.
    DirBuilder::new().recursive(true).create(path)
}

const VARIABLE: &str = "DECLIC_STATE_DIR";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_value_is_made_once_and_kept() {
        let directory = TempDir::new();
        let path = directory.path().join("deep/down");
        let made = keep(&path, "value", || Ok("first".into())).expect("a place to write");
        assert_eq!(made, "first");
        let kept = keep(&path, "value", || unreachable!("it is there")).expect("a place to read");
        assert_eq!(kept, "first");
        let files = fs::read_dir(&path).expect("the directory").count();
        assert_eq!(files, 1, "the temporary file is gone");
    }

    #[test]
    fn an_empty_file_counts_as_none() {
        let directory = TempDir::new();
        fs::write(directory.path().join("value"), "\n").expect("a place to write");
        let made = keep(directory.path(), "value", || Ok("new".into())).expect("a place to write");
        assert_eq!(made, "new");
        let kept = keep(directory.path(), "value", || unreachable!()).expect("a place to read");
        assert_eq!(kept, "new");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = TempDir::new();
        let path = directory.path().join("state");
        keep(&path, "value", || Ok("secret".into())).expect("a place to write");
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode();
        assert_eq!(mode(&path) & 0o777, 0o700);
        assert_eq!(mode(&path.join("value")) & 0o777, 0o600);
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_named() {
        let directory = TempDir::new();
        let file = directory.path().join("file");
        fs::write(&file, "").expect("a place to write");
        let error = keep(&file, "value", || Ok("x".into())).expect_err("a file is no directory");
        assert!(error.to_string().contains("can't keep value in"), "{error}");
    }
}
