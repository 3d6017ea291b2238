//! Chips, boards and their pins, from `boards.toml`.

use std::fmt::Write as _;

use super::boards::{Active, Board, Checked, Chip, LedKind, Table};
use super::language::Language;
use super::markdown::{code, table};

pub fn page(boards: &Table, language: &Language) -> String {
    let mut page = language.pick(ENGLISH, FRENCH).to_owned();
    page += language.pick("\n## Boards\n\n", "\n## Cartes\n\n");
    page += &table(
        language.pick(
            ["Board", "`board`", "Chip", "Button", "LED"],
            ["Carte", "`board`", "Puce", "Bouton", "LED"],
        ),
        boards.board.iter().map(|board| {
            [
                board.title.clone(),
                code(&board.name),
                boards.chip_title(&board.chip).to_owned(),
                button(board, language),
                led(board, language),
            ]
        }),
    );
    page += language.pick("\nNotes and sources:\n\n", "\nRemarques et sources :\n\n");
    for board in &boards.board {
        page += &sources(board, language);
    }
    page += language.pick("\n## Chips\n\n", "\n## Puces\n\n");
    page += language.pick(CHIPS_ENGLISH, CHIPS_FRENCH);
    page += &table(
        language.pick(
            [
                "Chip",
                "Pins",
                "Input only",
                "Console (UART0)",
                "Own USB serial port",
            ],
            [
                "Puce",
                "Broches",
                "Entrée seule",
                "Console (UART0)",
                "Port série USB intégré",
            ],
        ),
        boards.chip.iter().map(|chip| {
            let yes = language.pick("yes", "oui");
            let no = language.pick("no", "non");
            [
                chip.title.clone(),
                spaced(&chip.pins),
                spaced(&chip.input_only),
                console(chip),
                if chip.usb_serial { yes } else { no }.to_owned(),
            ]
        }),
    );
    page
}

fn button(board: &Board, language: &Language) -> String {
    let active = match board.button.active {
        Active::Low => language.pick("active low", "actif à l'état bas"),
        Active::High => language.pick("active high", "actif à l'état haut"),
    };
    format!("GPIO{}, {active}", board.button.pin)
}

fn led(board: &Board, language: &Language) -> String {
    let kind = match (board.led.kind, board.led.active) {
        (LedKind::Ws2812, _) => "WS2812",
        (LedKind::Plain, Active::Low) => language.pick("active low", "active à l'état bas"),
        (LedKind::Plain, Active::High) => language.pick("active high", "active à l'état haut"),
    };
    format!("GPIO{}, {kind}", board.led.pin)
}

fn sources(board: &Board, language: &Language) -> String {
    let mut text = format!("- **{}**{} ", board.title, language.pick(":", " :"));
    let flash = board.flash.replace("MB", language.pick(" MB", " Mo"));
    text += &language.pick(
        format!("{flash} of flash. "),
        format!("{flash} de mémoire flash. "),
    );
    if let Some(note) = &board.note {
        let _ = write!(text, "{} ", language.say(note));
    }
    text += match board.checked {
        Checked::Vendor => language.pick(
            "Source, the vendor's own: ",
            "Source, celle du fabricant : ",
        ),
        Checked::ThirdParty => language.pick(
            "Source, not the vendor's: ",
            "Source, autre que le fabricant : ",
        ),
    };
    let _ = writeln!(text, "{}.", board.source);
    text
}

fn console(chip: &Chip) -> String {
    format!("TX {}, RX {}", chip.console.tx, chip.console.rx)
}

fn spaced(list: &str) -> String {
    list.replace(',', ", ")
}

const ENGLISH: &str = "\
# Pins

<!-- Made by `cargo xtask docs` from boards.toml. Don't edit this file. -->

Where button and LED are on the boards that people have. The firmware takes the first board of its
chip unless the setting `board` names another one; `button-pin`, `button-active-low`, `led-pin` and
`led-kind` override single pins. See [settings](settings.md).

The pins were looked up, not tried: none of these boards has been on our desk.
";

const FRENCH: &str = "\
# Broches

<!-- Écrit par `cargo xtask docs` à partir de boards.toml. Ne pas modifier ici. -->

Où sont le bouton et la LED sur les cartes que l'on trouve. Le programme prend la première carte de sa puce,
sauf si le réglage `board` en nomme une autre ; `button-pin`, `button-active-low`, `led-pin` et `led-kind`
remplacent une broche à la fois. Voir les [réglages](settings.md).

Ces broches viennent des documents, pas d'un essai : aucune de ces cartes n'est passée sur notre table.
";

const CHIPS_ENGLISH: &str = "\
The pins that a button may be put on: not those of the flash, the console or USB. An LED needs one
that is not input only.

";

const CHIPS_FRENCH: &str = "\
Les broches qui peuvent recevoir un bouton : ni celles de la mémoire flash, ni celles de la console, ni
celles de l'USB. Pour une LED, il en faut une qui ne soit pas en entrée seule.

";
