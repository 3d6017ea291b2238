//! SIGINT, SIGTERM, SIGHUP, and Ctrl-C where there are no signals.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::exit_code::ExitCode;

/// Calls `stop` when the process is asked to end, from a thread of its own. Whoever asks a second
/// time does not want to wait: the process ends at once.
///
/// # Errors
/// The system refuses it. To be called once in a process.
pub fn on_stop(stop: impl Fn() + Send + 'static) -> Result<(), Error> {
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(IMPATIENT);
        }
        stop();
    })
    .map_err(|error| Error::new(ExitCode::Failure, "can't watch for Ctrl-C").because(error))
}

/// What a shell reports for a process that SIGINT ended.
const IMPATIENT: i32 = 130;
