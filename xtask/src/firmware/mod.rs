//! `cargo xtask firmware`: images of the firmware, and how large they are.

mod boards;
mod budget;
mod build;
mod image;
mod page;
mod size;

use std::error::Error;
use std::path::{Path, PathBuf};

use boards::Chip;
use budget::Budget;
use build::Program;
use image::Image;
use size::Size;

/// Carries out the command with these arguments.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let chips = Chip::all(root)?;
    let Some(options) = Options::parse(arguments, &chips)? else {
        println!("{USAGE}");
        return Ok(());
    };
    let budgets = Budget::all(root)?;
    let mut sizes = Vec::new();
    for chip in &options.chips {
        let elf = build::build(root, chip, Program::Firmware)?;
        let image = Image::new(root, chip, &elf)?;
        let dir = options.out.join(&chip.name);
        image.write(chip, &dir)?;
        page::write(&options.out, chip, &image)?;
        println!("{}: {}", chip.title, dir.display());
        let size = Size::new(&elf, image.app().len())?;
        let bare = if options.bare {
            let elf = build::build(root, chip, Program::Bare)?;
            let image = Image::new(root, chip, &elf)?;
            Some(Size::new(&elf, image.app().len())?)
        } else {
            None
        };
        sizes.push((*chip, size, bare));
    }
    println!("\n{:12} {COLUMNS}", "bytes");
    let mut exceeded = Vec::new();
    for (chip, size, bare) in &sizes {
        println!("{:12} {size}", chip.title);
        if let Some(bare) = bare {
            println!("{:12} {bare}", "  bare stack");
            let flash = size.flash().saturating_sub(bare.flash());
            let ram = size.ram().saturating_sub(bare.ram());
            println!("  our own part: {flash} of flash, {ram} of RAM");
        }
        match budgets.get(&chip.name) {
            Some(budget) => {
                let lines = budget.exceeded(size, bare.as_ref());
                exceeded.extend(
                    lines
                        .into_iter()
                        .map(|line| format!("{}: {line}", chip.name)),
                );
            }
            None => println!("  (no budget: firmware/esp/budget.toml does not name this chip)"),
        }
    }
    if exceeded.is_empty() {
        Ok(())
    } else {
        Err(format!("over the budget: {}", exceeded.join("; ")).into())
    }
}

struct Options<'a> {
    chips: Vec<&'a Chip>,
    out: PathBuf,
    bare: bool,
}

impl<'a> Options<'a> {
    /// `None` when help was asked for.
    fn parse(arguments: &[String], chips: &'a [Chip]) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self {
            chips: Vec::new(),
            out: PathBuf::from("dist/firmware"),
            bare: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "-h" | "--help" => return Ok(None),
                "--bare" => options.bare = true,
                "--out" => options.out = arguments.next().ok_or("--out needs a directory")?.into(),
                name => match chips.iter().find(|chip| chip.name == name) {
                    Some(chip) => options.chips.push(chip),
                    None => {
                        let names: Vec<_> = chips.iter().map(|chip| chip.name.as_str()).collect();
                        let names = names.join(", ");
                        return Err(format!("there is no chip `{name}`; there are {names}").into());
                    }
                },
            }
        }
        if options.chips.is_empty() {
            options.chips = chips.iter().filter(|chip| !chip.is_xtensa()).collect();
        }
        Ok(Some(options))
    }
}

const USAGE: &str = "\
cargo xtask firmware [CHIP...] [--out DIR] [--bare]

Builds the firmware and makes what is flashed: dist/firmware/<chip>/declic-<chip>.bin is all of it
for offset 0; its parts, a manifest and a page for ESP Web Tools are beside it. Prints the sizes and
fails when one is over firmware/esp/budget.toml.

CHIP is esp32, esp32s3, esp32c3 or esp32c6; without one, those that stable Rust can build for
(esp32c3, esp32c6). The others need Espressif's toolchain (`espup install`).

--out DIR  write there instead
--bare     build the bare Wi-Fi stack too, and show and check what our own code adds to it";

const COLUMNS: &str = "    image     .text   .rodata  RAM code  RAM data      heap     stack";
