//! `declic flash`: the firmware and its settings, onto a board.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use declic_board::{Settings, flash::write_image};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::flash::ask::{Ask, Terminal};
use crate::flash::catalog::{Catalog, Chip};
use crate::flash::choices::SettingArgs;
use crate::flash::find;
use crate::flash::image::{Image, Part};
use crate::flash::write::{Options, Target};
use crate::host::reason;
use crate::printer::Printer;
use crate::serial::ports;
use crate::serial::watch::{Look, Until, watch};

/// Bring the firmware and its settings onto a board
///
/// Finds the board and its chip, writes the firmware and then the settings, checks what was
/// written, and shows the board's console until it says that it has reached its broker. What is
/// needed and not given is asked for. A flash that was cut off can just be repeated.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The board's serial port; not needed where there is only one board
    #[arg(short, long, value_name = "PORT")]
    port: Option<String>,

    /// The chip that the board must have: esp32, esp32s3, esp32c3 or esp32c6
    #[arg(long)]
    chip: Option<String>,

    /// The firmware: declic-CHIP.bin. Without it, what `cargo xtask firmware` made is found
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// Write only the firmware; the board keeps the settings that it has
    #[arg(long)]
    keep_settings: bool,

    /// Write into files in this directory what would be written to a board
    #[arg(long, value_name = "DIR", conflicts_with = "port")]
    dry_run: Option<PathBuf>,

    /// Bits per second while writing
    #[arg(long, default_value_t = 460_800, value_parser = clap::value_parser!(u32).range(9_600..))]
    baud: u32,

    /// Don't reset the board: it waits in its loader, after RESET while BOOT was held
    #[arg(long)]
    no_reset: bool,

    /// Speak to the loader in the chip's ROM only: slower, but with fewer parts that may fail
    #[arg(long)]
    no_stub: bool,

    /// Don't show the console afterwards
    #[arg(long)]
    no_monitor: bool,

    /// How long to wait until the board has reached its broker; 0 waits for ever
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,

    #[command(flatten)]
    settings: SettingArgs,
}

/// Carries it out. Nothing is written before all that can be checked was checked.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let catalog = Catalog::new();
    let chip = args.chip.as_deref().map(|name| catalog.wanted_chip(name));
    let mut chip = chip.transpose()?;
    let mut image = None;
    if let Some(path) = &args.image {
        let read = find::read(path, &catalog)?;
        if let Some(chip) = chip {
            same_chip(&read, chip, "--chip says")?;
        }
        chip = Some(read.chip);
        image = Some((path.clone(), read));
    }
    let settings = args.wanted_settings()?;
    if let Some(settings) = &settings {
        chip = catalog.check(settings, chip)?;
    }
    match &args.dry_run {
        Some(dir) => {
            let (_, image) = match (image, chip) {
                (Some(image), _) => image,
                (None, Some(chip)) => built(chip, &catalog)?,
                (None, None) => {
                    return Err(Error::new(ExitCode::Usage, "the chip is missing")
                        .remedy("Add --chip, --board or --image."));
                }
            };
            write_files(dir, &parts(image, settings.as_ref())?, printer)?;
            Ok(ExitCode::Success)
        }
        None => flash(args, &catalog, chip, image, settings.as_ref(), printer),
    }
}

/// An image and where it is from.
type Found<'a> = (PathBuf, Image<'a>);

fn flash<'a>(
    args: &Args,
    catalog: &'a Catalog,
    chip: Option<&'a Chip>,
    image: Option<Found<'a>>,
    settings: Option<&Settings>,
    printer: &Printer,
) -> Result<ExitCode, Error> {
    // Where the chip is known, it need not be asked to find out that there is no firmware for it.
    let image = match (image, chip) {
        (Some(image), _) => Some(image),
        (None, Some(chip)) => Some(built(chip, catalog)?),
        (None, None) => None,
    };
    let port = ports::choose(args.port.as_deref())?;
    let port_name = port.name.clone();
    let options = Options {
        baud: args.baud,
        resets: !args.no_reset,
        stub: !args.no_stub,
    };
    let mut target = Target::connect(port, options)?;
    let prepared = prepare(&target, catalog, image, settings, printer);
    let parts = match prepared {
        Ok(parts) => parts,
        Err(error) => {
            // Nothing was written: the board goes on with what it has.
            let _ = target.start();
            return Err(error);
        }
    };
    target.write(&parts, printer)?;
    let (opened, port) = target.start()?;
    if args.no_reset {
        printer.note("press the board's RESET button: then it starts");
    } else {
        printer.line(format_args!("started the board on {port_name}"))?;
    }
    if args.no_monitor {
        return Ok(ExitCode::Success);
    }
    let wait = (args.wait > 0).then(|| Duration::from_secs(args.wait));
    let until = Until::Connected(wait);
    watch(port, Some(opened), Look::automatic(), until, printer)
}

/// Checks the board against all that is to be written to it.
fn prepare<'a>(
    target: &Target,
    catalog: &'a Catalog,
    image: Option<Found<'a>>,
    settings: Option<&Settings>,
    printer: &Printer,
) -> Result<Vec<Part>, Error> {
    let Some(chip) = catalog.chip(&target.chip) else {
        let names: Vec<_> = catalog.chips.iter().map(|chip| &*chip.title).collect();
        let what = format!("there is no firmware for {}", target.chip);
        return Err(Error::new(ExitCode::Failure, what)
            .remedy(format!("There is for {}.", names.join(", "))));
    };
    let megabytes = target.flash_size >> 20;
    let address = target.mac_address.as_deref().unwrap_or("not known");
    printer.line(format_args!(
        "found {} with {megabytes} MB of flash, address {address}",
        chip.title
    ))?;
    let (path, image) = match image {
        Some(image) => image,
        None => built(chip, catalog)?,
    };
    same_chip(&image, chip, "the board has")?;
    if let Some(settings) = settings {
        catalog.check(settings, Some(chip))?;
    }
    if image.flash_size > target.flash_size {
        let what = format!("the board has {megabytes} MB of flash");
        return Err(Error::new(ExitCode::Failure, what).because(format!(
            "the firmware needs {} MB",
            image.flash_size.div_ceil(1 << 20)
        )));
    }
    printer.line(format_args!("image {}", path.display()))?;
    parts(image, settings)
}

/// What is written, in this order: the settings last, so that a board has them only once all else
/// is there.
fn parts(image: Image<'_>, settings: Option<&Settings>) -> Result<Vec<Part>, Error> {
    let mut parts = image.parts;
    if let Some(settings) = settings {
        let mut bytes = vec![0; image.settings.len()];
        write_image(settings, &mut bytes).map_err(|error| {
            Error::new(ExitCode::Failure, "can't write the settings").because(error)
        })?;
        parts.push(Part {
            name: "settings",
            offset: image.settings.start,
            bytes,
        });
    }
    Ok(parts)
}

fn built<'a>(chip: &Chip, catalog: &'a Catalog) -> Result<Found<'a>, Error> {
    let path = find::built(chip)?;
    let image = find::read(&path, catalog)?;
    same_chip(&image, chip, "its name says")?;
    Ok((path, image))
}

fn same_chip(image: &Image<'_>, chip: &Chip, says: &str) -> Result<(), Error> {
    if image.chip.name == chip.name {
        return Ok(());
    }
    Err(Error::new(
        ExitCode::Failure,
        format!("the image is for {}", image.chip.title),
    )
    .because(format!("{says} {}", chip.title))
    .remedy(format!("The one to take is declic-{}.bin.", chip.name)))
}

fn write_files(dir: &Path, parts: &[Part], printer: &Printer) -> Result<(), Error> {
    let failed = |path: &Path, error: &std::io::Error| {
        let what = format!("can't write {}", path.display());
        Error::new(ExitCode::Failure, what).because(reason(error))
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    for part in parts {
        let path = dir.join(format!("{}.bin", part.name.replace(' ', "-")));
        fs::write(&path, &part.bytes).map_err(|error| failed(&path, &error))?;
        printer.line(format_args!(
            "wrote {} at {:#x}, {} bytes: {}",
            part.name,
            part.offset,
            part.bytes.len(),
            path.display()
        ))?;
    }
    Ok(())
}

impl Args {
    /// The settings to write; `None` to keep those of the board.
    fn wanted_settings(&self) -> Result<Option<Settings>, Error> {
        if self.keep_settings {
            if !self.settings.is_empty() {
                return Err(Error::new(
                    ExitCode::Usage,
                    "--keep-settings goes with no other settings",
                )
                .remedy("`declic config set` changes some and keeps the others."));
            }
            return Ok(None);
        }
        let mut terminal = Terminal::new();
        let ask = terminal.as_mut().map(|terminal| terminal as &mut dyn Ask);
        self.settings.settings(ask).map(Some)
    }
}

const EXAMPLES: &str = "\
Examples:
  declic flash --role publisher --wifi MyNet --broker 192.168.1.20
      Asks for the Wi-Fi password, which is not shown
  declic flash --wifi Guests --wifi-password '' --broker pi.local --role subscriber
      An open network
  declic flash --board esp32-c3-supermini --settings mine.toml
      The settings from a file, and a board whose LED is not where the usual one has it
  declic flash --keep-settings
      Only newer firmware";
