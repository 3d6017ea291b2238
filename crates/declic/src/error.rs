//! What went wrong, in one line: `what, where: cause. remedy`.

use std::fmt;
use std::io;

use crate::exit_code::ExitCode;

/// An error that ends the command.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
enum Kind {
    /// The reader of standard output has gone. That is no failure, but the end.
    ClosedPipe,
    Failed(Box<Failed>),
}

#[derive(Debug)]
struct Failed {
    exit_code: ExitCode,
    what: String,
    cause: Option<String>,
    remedy: Option<String>,
}

impl Error {
    /// An error that ends the process with `exit_code`; `what` failed, and where.
    pub fn new(exit_code: ExitCode, what: impl Into<String>) -> Self {
        Self(Kind::Failed(Box::new(Failed {
            exit_code,
            what: what.into(),
            cause: None,
            remedy: None,
        })))
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        if let Kind::Failed(failed) = &mut self.0 {
            failed.cause = Some(cause.to_string());
        }
        self
    }

    /// Adds what to do about it: whole sentences.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        if let Kind::Failed(failed) = &mut self.0 {
            failed.remedy = Some(remedy.into());
        }
        self
    }

    /// What writing to standard output ended with.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self(Kind::ClosedPipe)
        } else {
            Self::new(ExitCode::Failure, "can't write to standard output").because(error)
        }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        match &self.0 {
            Kind::ClosedPipe => ExitCode::Success,
            Kind::Failed(failed) => failed.exit_code,
        }
    }

    /// Whether nobody need be told.
    pub fn is_silent(&self) -> bool {
        matches!(self.0, Kind::ClosedPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind::Failed(failed) = &self.0 else {
            return f.write_str("standard output was closed");
        };
        f.write_str(&failed.what)?;
        if let Some(cause) = &failed.cause {
            write!(f, ": {cause}")?;
        }
        if let Some(remedy) = &failed.remedy {
            write!(f, ". {remedy}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_cause_and_remedy() {
        let error = Error::new(ExitCode::NoConnection, "no broker at localhost:1883")
            .because("connection refused")
            .remedy("Is it running?");
        assert_eq!(
            error.to_string(),
            "no broker at localhost:1883: connection refused. Is it running?"
        );
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let error = Error::stdout(&io::ErrorKind::BrokenPipe.into());
        assert!(error.is_silent());
        assert_eq!(error.exit_code(), ExitCode::Success);
    }
}
