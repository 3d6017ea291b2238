//! `declic boards`: what is plugged in, and what is known.

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::flash::catalog::Catalog;
use crate::printer::Printer;
use crate::serial::ports;

/// List the serial ports with boards on them, and the boards that are known
///
/// Prints a line `port NAME: WHAT` for each USB serial port and a line `board NAME: ...` for each
/// known model; --board takes such a name. For other boards, settings say which pins are used.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List also ports that are not on USB
    #[arg(short, long)]
    all: bool,
}

/// Prints both lists.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let mut ports = ports::list();
    ports.retain(|port| args.all || port.usb.is_some());
    if ports.is_empty() {
        printer.note(
            "no serial port found. A board needs a cable that carries data, and some need a \
             driver (CP210x, CH340)",
        );
    }
    for port in &ports {
        printer.line(format_args!("port {}: {}", port.name, port.description()))?;
    }
    let catalog = Catalog::new();
    for board in &catalog.boards {
        let chip = catalog.chip(&board.chip);
        let chip = chip.map_or(board.chip.as_str(), |chip| chip.title.as_str());
        let (button, led) = (&board.button, &board.led);
        let kind = match led.kind.as_str() {
            "plain" => format!("active {}", led.active),
            kind => kind.to_uppercase(),
        };
        printer.line(format_args!(
            "board {}: {}, {chip}, button GPIO{} (active {}), LED GPIO{} ({kind})",
            board.name, board.title, button.pin, button.active, led.pin,
        ))?;
        if let Some(note) = &board.note {
            printer.line(format_args!("  {note}"))?;
        }
    }
    Ok(ExitCode::Success)
}
