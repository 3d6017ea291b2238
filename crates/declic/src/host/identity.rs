//! Who a board on this machine is: six random bytes, kept under the board's name.

use std::fs::{File, TryLockError};
use std::path::Path;

use declic_board::BoardId;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::state;

/// A board's id, which no other process on this machine uses as long as this value lives.
#[derive(Debug)]
pub struct Identity {
    pub id: BoardId,
    /// Locked.
    _file: Option<File>,
}

impl Identity {
    /// An id that was given, or kept by others.
    pub const fn given(id: BoardId) -> Self {
        Self { id, _file: None }
    }

    /// The id that is kept for `name`. Where another process runs that board now, it is the one of
    /// `name-2`, and so on: two boards with one id would throw each other out of the broker.
    ///
    /// # Errors
    /// The state directory can't be used.
    fn kept(name: &str) -> Result<Self, Error> {
        Self::kept_in(&state::directory()?.join("boards"), name)
    }

    /// [`Self::kept`]; where nothing can be kept, an id for this run only, which is said.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn kept_or_random(name: &str, printer: &Printer) -> Result<Self, Error> {
        Self::kept(name).or_else(|error| {
            printer.note(format_args!("{error} The board has a new id this time."));
            Self::random()
        })
    }

    /// An id for this run only.
    ///
    /// # Errors
    /// The system gives no random bytes.
    fn random() -> Result<Self, Error> {
        random_id().map(Self::given)
    }

    fn kept_in(directory: &Path, name: &str) -> Result<Self, Error> {
        let name = file_name(name);
        for number in 1.. {
            let name = match number {
                1 => name.clone(),
                number => format!("{name}-{number}"),
            };
            let text = state::keep(directory, &name, || Ok(random_id()?.to_string()))?;
            let failed = |cause: &dyn std::fmt::Display| {
                let path = directory.join(&name);
                Error::new(
                    ExitCode::Failure,
                    format!("can't use the board id in {}", path.display()),
                )
                .because(cause)
                .remedy("Remove that file for a new one, or give --id.")
            };
            let id = text.parse().map_err(|error| failed(&error))?;
            let file = File::open(directory.join(&name)).map_err(|error| failed(&error))?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks: the id is as good without.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    return Ok(Self {
                        id,
                        _file: Some(file),
                    });
                }
            }
        }
        Self::random()
    }
}

fn random_id() -> Result<BoardId, Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ExitCode::Failure, "can't make a board id")
            .because(format!("the system gives no random bytes ({error})"))
    })?;
    // As in a MAC address: one station, administered locally. It can't be that of a chip.
    bytes[0] = bytes[0] & 0b1111_1100 | 0b10;
    Ok(BoardId::new(bytes))
}

/// `name` as a file name: what is special in one is escaped.
fn file_name(name: &str) -> String {
    let mut file_name = String::from("board-");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            file_name.push(char::from(byte));
        } else {
            file_name.push_str(&format!("%{byte:02x}"));
        }
    }
    file_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_name_keeps_its_id_and_another_name_has_another() {
        let directory = TempDir::new();
        let id = |name| {
            let identity = Identity::kept_in(directory.path(), name);
            identity.expect("a place to write").id
        };
        assert_eq!(id("lamp"), id("lamp"));
        assert_ne!(id("lamp"), id("button"));
        assert_ne!(id("../lamp"), id("lamp"));
        let files = std::fs::read_dir(directory.path()).expect("the directory");
        assert_eq!(files.count(), 3);
    }

    #[test]
    fn two_boards_that_run_at_once_never_share_an_id() {
        let directory = TempDir::new();
        let start = || Identity::kept_in(directory.path(), "lamp").expect("a place to write");
        let (first, second) = (start(), start());
        assert_ne!(first.id, second.id);
        let id = first.id;
        drop(first);
        assert_eq!(start().id, id);
    }

    #[test]
    fn a_spoilt_file_is_named() {
        let directory = TempDir::new();
        std::fs::write(directory.path().join("board-lamp"), "hello").expect("a place to write");
        let error = Identity::kept_in(directory.path(), "lamp").expect_err("no id in it");
        assert!(error.to_string().contains("12 hex digits"), "{error}");
    }
}
