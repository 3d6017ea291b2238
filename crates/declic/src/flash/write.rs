//! Writing to a board over its ROM loader.

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt::Write as _;

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::Flasher;
use espflash::image_format::Segment;
use serialport::{SerialPort as _, UsbPortInfo};

use super::image::Part;
use super::progress::Progress;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::serial::FoundPort;
use crate::serial::line::{self, BAUD, NativePort};

/// How the board is spoken to.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bits per second while writing.
    pub baud: u32,
    /// Whether the board can be reset over the port. Otherwise it waits in its loader already.
    pub resets: bool,
    /// Whether a faster loader is brought into the chip's memory first.
    pub stub: bool,
}

/// A board in its loader.
pub struct Target {
    flasher: Flasher,
    port: FoundPort,
    options: Options,
    /// The chip's name, as `boards.toml` has it.
    pub chip: String,
    /// Bytes of flash.
    pub flash_size: u32,
    /// The address that its id is made from.
    pub mac_address: Option<String>,
}

impl Target {
    /// Brings the board on `port` into its loader and asks what it is.
    ///
    /// # Errors
    /// The port can't be opened, or no board answers.
    pub fn connect(port: FoundPort, options: Options) -> Result<Self, Error> {
        let mut opened = line::open(&port)?;
        if options.resets && opened.write_data_terminal_ready(true).is_err() {
            return Err(Error::new(
                ExitCode::Failure,
                format!("{} can't reset the board", port.name),
            )
            .remedy("Hold its BOOT button, press RESET, let BOOT go, and add --no-reset."));
        }
        let usb = port.usb.clone().unwrap_or_default();
        let info = UsbPortInfo {
            vid: usb.vendor,
            pid: usb.product,
            serial_number: usb.serial_number,
            manufacturer: None,
            product: usb.product_name,
        };
        let before = if options.resets {
            ResetBeforeOperation::DefaultReset
        } else {
            ResetBeforeOperation::NoReset
        };
        // When it is reset at the end is our decision: not before the port has its speed again.
        let after = ResetAfterOperation::NoResetNoStub;
        let connection = Connection::new(opened, info, after, before, BAUD);
        let baud = (options.baud > BAUD).then_some(options.baud);
        let mut flasher = Flasher::connect(connection, options.stub, true, false, None, baud)
            .map_err(|error| connect_error(&port, &error))?;
        let info = flasher
            .device_info()
            .map_err(|error| connect_error(&port, &error))?;
        Ok(Self {
            chip: info.chip.to_string(),
            flash_size: info.flash_size.size(),
            mac_address: info.mac_address,
            flasher,
            port,
            options,
        })
    }

    /// Writes `parts`, one after the other in the order given, and checks each.
    ///
    /// # Errors
    /// Writing failed, or what was read back is something else.
    pub fn write(&mut self, parts: &[Part], printer: &Printer) -> Result<(), Error> {
        let segments: Vec<_> = parts
            .iter()
            .map(|part| Segment {
                addr: part.offset,
                data: padded(&part.bytes),
            })
            .collect();
        let names = parts.iter().map(|part| {
            let name = format!("{} at {:#x}", part.name, part.offset);
            (name, part.bytes.len())
        });
        let mut progress = Progress::new(printer, names.collect());
        let result = self.flasher.write_bins_to_flash(&segments, &mut progress);
        let current = progress.current().map(str::to_owned);
        drop(progress);
        result.map_err(|error| {
            let what = match current {
                Some(part) => format!("can't write the {part}"),
                None => "can't finish writing".to_owned(),
            };
            let remedy = if self.options.baud > BAUD {
                "Run the same command again; if it fails again, try another cable and --baud 115200."
            } else {
                "Run the same command again; if it fails again, try another cable."
            };
            Error::new(ExitCode::Failure, what)
                .because(causes(&error))
                .remedy(remedy)
        })
    }

    /// Starts the board's program, if it can be reset, and returns the port for its console.
    ///
    /// # Errors
    /// The port fails.
    pub fn start(self) -> Result<(NativePort, FoundPort), Error> {
        let mut connection = self.flasher.into_connection();
        let resets = self.options.resets;
        connection
            .set_baud(BAUD)
            .and_then(|()| if resets { connection.reset() } else { Ok(()) })
            .map_err(|error| {
                Error::new(
                    ExitCode::Failure,
                    format!("can't restart the board on {}", self.port.name),
                )
                .because(causes(&error))
                .remedy("All is written: press its RESET button.")
            })?;
        Ok((connection.into_serial(), self.port))
    }
}

/// Flash is written in words.
fn padded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.len().is_multiple_of(4) {
        return bytes.into();
    }
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0xff);
    padded.into()
}

fn connect_error(port: &FoundPort, error: &espflash::Error) -> Error {
    let mut remedy = "Is it an ESP32? Hold its BOOT button, press RESET, let BOOT go, and run \
                      the same command again"
        .to_owned();
    if port.is_board() {
        remedy.push('.');
    } else {
        remedy.push_str("; `declic boards` lists the ports.");
    }
    Error::new(
        ExitCode::Failure,
        format!("no board answers on {}", port.name),
    )
    .because(causes(error))
    .remedy(remedy)
}

/// An error and what it comes from, in one line.
fn causes(error: &espflash::Error) -> String {
    let mut text = lower(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = lower(&cause.to_string());
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// In one line, as the cause within a sentence.
fn lower(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // Not a word in capitals, such as MD5.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_padded_to_words() {
        assert_eq!(*padded(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(*padded(&[1]), [1, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn an_error_of_the_library_becomes_one_line() {
        assert_eq!(lower("Failed to\n connect."), "failed to connect");
        assert_eq!(lower("MD5 digest mismatch"), "MD5 digest mismatch");
    }
}
