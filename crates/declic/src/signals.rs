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

/// Calls `stop` as [`on_stop`] does, and `reload` on SIGHUP where there are signals; in a terminal,
/// SIGHUP is its end.
///
/// # Errors
/// As [`on_stop`].
#[cfg(unix)]
pub fn on_stop_or_reload(
    stop: impl Fn() + Send + 'static,
    reload: impl Fn() + Send + 'static,
) -> Result<(), Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    // The end of a terminal is the end of what runs in it.
    let has_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let failed = |error: std::io::Error| {
        Error::new(ExitCode::Failure, "can't watch for signals").because(error)
    };
    let mut signals =
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(failed)?;
    // What takes its time must not keep an impatient one waiting.
    let (sender, stopping) = std::sync::mpsc::channel();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map(drop)
            .map_err(failed)
    };
    spawn(
        "stop",
        Box::new(move || {
            if stopping.recv().is_ok() {
                stop();
            }
        }),
    )?;
    spawn(
        "signals",
        Box::new(move || {
            let mut asked = false;
            for signal in signals.forever() {
                match signal {
                    SIGHUP if !has_terminal => reload(),
                    _ if std::mem::replace(&mut asked, true) => std::process::exit(IMPATIENT),
                    _ => {
                        // Fails only when the process ends already.
                        let _ = sender.send(());
                    }
                }
            }
        }),
    )
}

/// The same without signals to reload.
///
/// # Errors
/// As [`on_stop`].
#[cfg(not(unix))]
pub fn on_stop_or_reload(
    stop: impl Fn() + Send + 'static,
    _reload: impl Fn() + Send + 'static,
) -> Result<(), Error> {
    on_stop(stop)
}

/// What a shell reports for a process that SIGINT ended.
const IMPATIENT: i32 = 130;
