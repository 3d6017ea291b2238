//! What the process says when it ends.

/// The exit codes; `declic --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    Success = 0,
    /// Something failed while running: a lost connection, a refused message.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no connection to a broker.
    NoConnection = 3,
    /// The broker refused the connection.
    Refused = 4,
    /// The address to listen on is in use or can't be used.
    CannotListen = 5,
    /// The store of the broker can't be used.
    CannotStore = 6,
    /// The time given is over; the number is the one of `mosquitto_sub`.
    TimedOut = 27,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
