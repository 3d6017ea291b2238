//! Turns `boards.toml` and `partitions.csv` into the tables that the firmware is built with.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={BOARDS}");
    println!("cargo::rerun-if-changed={PARTITIONS}");
    let chip = chip()?;
    let table: Table = toml::from_str(&fs::read_to_string(BOARDS)?)?;
    let mut code = chip_table(&table, chip)?;
    code += &settings_partition(&fs::read_to_string(PARTITIONS)?)?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("tables.rs");
    fs::write(out, code)?;
    Ok(())
}

/// The chip that is built for: exactly one cargo feature says it.
fn chip() -> Result<&'static str, String> {
    let is_on =
        |chip: &&&str| env::var(format!("CARGO_FEATURE_{}", chip.to_ascii_uppercase())).is_ok();
    let on: Vec<_> = CHIPS.iter().filter(is_on).collect();
    match on[..] {
        [chip] => Ok(chip),
        _ => Err(format!(
            "choose one chip with --features: {}",
            CHIPS.join(", ")
        )),
    }
}

fn chip_table(table: &Table, name: &str) -> Result<String, Box<dyn Error>> {
    let find = table.chip.iter().find(|chip| chip.name == name);
    let chip = find.ok_or_else(|| format!("{BOARDS} has no chip `{name}`"))?;
    let (usable, input_only) = (pin_mask(&chip.pins)?, pin_mask(&chip.input_only)?);
    let Console { tx, rx } = chip.console;
    let mut code = String::new();
    writeln!(code, "pub const CHIP: Chip = Chip {{")?;
    writeln!(code, "    title: {:?},", chip.title)?;
    writeln!(code, "    console_tx: {tx}, console_rx: {rx},")?;
    writeln!(
        code,
        "    usable: {usable:#x}, input_only: {input_only:#x},"
    )?;
    writeln!(code, "}};\npub const BOARDS: &[BoardPins] = &[")?;
    for board in table.board.iter().filter(|board| board.chip == name) {
        let pins = [
            (board.button.pin, usable),
            (board.led.pin, usable & !input_only),
        ];
        if let Some((pin, _)) = pins.iter().find(|(pin, mask)| mask >> pin & 1 == 0) {
            return Err(format!("{}: GPIO{pin} can't be used like that", board.name).into());
        }
        writeln!(
            code,
            "    BoardPins {{ name: {:?}, button: {}, button_active_low: {}, led: {}, \
             led_kind: LedKind::{} }},",
            board.name,
            board.button.pin,
            board.button.active == Active::Low,
            board.led.pin,
            match (board.led.kind, board.led.active) {
                (LedKind::Plain, Active::High) => "PlainHigh",
                (LedKind::Plain, Active::Low) => "PlainLow",
                (LedKind::Ws2812, _) => "Ws2812",
            },
        )?;
    }
    writeln!(code, "];")?;
    Ok(code)
}

/// Where the settings lie in flash.
fn settings_partition(csv: &str) -> Result<String, Box<dyn Error>> {
    let line = csv.lines().find(|line| line.starts_with("declic,"));
    let fields: Vec<_> = line.ok_or("no partition `declic`")?.split(',').collect();
    let number = |index: usize| {
        let text = fields.get(index).map_or("", |field| field.trim());
        u32::from_str_radix(text.trim_start_matches("0x"), 16)
            .map_err(|error| format!("{PARTITIONS}: {text}: {error}"))
    };
    let (offset, size) = (number(3)?, number(4)?);
    Ok(format!(
        "pub const SETTINGS_PARTITION: core::ops::Range<u32> = {offset:#x}..{:#x};\n",
        offset + size
    ))
}

/// The bits of a list like `0-10,21`.
fn pin_mask(list: &str) -> Result<u64, Box<dyn Error>> {
    let mut mask = 0;
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for pin in first.parse::<u32>()?..=last.parse::<u32>()? {
            mask |= 1_u64.checked_shl(pin).ok_or("pin numbers end at 63")?;
        }
    }
    Ok(mask)
}

#[derive(Deserialize)]
struct Table {
    chip: Vec<Chip>,
    board: Vec<Board>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Chip {
    name: String,
    title: String,
    pins: String,
    input_only: String,
    console: Console,
}

#[derive(Deserialize, Clone, Copy)]
struct Console {
    tx: u8,
    rx: u8,
}

#[derive(Deserialize)]
struct Board {
    name: String,
    chip: String,
    button: Button,
    led: Led,
}

#[derive(Deserialize)]
struct Button {
    pin: u8,
    active: Active,
}

#[derive(Deserialize)]
struct Led {
    kind: LedKind,
    pin: u8,
    active: Active,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Active {
    High,
    Low,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum LedKind {
    Plain,
    Ws2812,
}

const CHIPS: [&str; 4] = ["esp32", "esp32s3", "esp32c3", "esp32c6"];
const BOARDS: &str = "../../boards.toml";
const PARTITIONS: &str = "partitions.csv";
