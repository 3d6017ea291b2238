//! The settings, from the board's own table of them.

use declic_board::{Accepts, Key};

use super::language::Language;
use super::markdown::{code, table};

pub fn page(language: &Language) -> String {
    let mut page = language.pick(ENGLISH, FRENCH).to_owned();
    let mut left: Vec<_> = Key::ALL.to_vec();
    for (english, french, keys) in GROUPS {
        let (here, others) = left.into_iter().partition(|key| keys.contains(&key.name()));
        left = others;
        page += &group(language, language.pick(english, french), here);
    }
    if !left.is_empty() {
        page += &group(language, language.pick("Others", "Autres"), left);
    }
    page += language.pick(NUMBERS_ENGLISH, NUMBERS_FRENCH);
    let mut keys = Key::ALL.to_vec();
    keys.sort_unstable_by_key(|key| key.number());
    let numbers = keys
        .into_iter()
        .map(|key| format!("{} {}", key.number(), code(key.name())));
    page += &numbers.collect::<Vec<_>>().join(",\n");
    page += ".\n";
    page
}

fn group(language: &Language, title: &str, keys: Vec<Key>) -> String {
    let head = language.pick(
        ["Setting", "Default", "Values", "What it does"],
        ["Réglage", "Défaut", "Valeurs", "Ce qu'il fait"],
    );
    let rows = keys.into_iter().map(|key| {
        let secret = language.pick(" (secret)", " (secret)");
        [
            code(key.name()) + if key.is_secret() { secret } else { "" },
            match key.default_value() {
                "" => String::new(),
                value => code(value),
            },
            values(language, key),
            language.say(key.doc()),
        ]
    });
    format!("\n## {title}\n\n{}", table(head, rows))
}

fn values(language: &Language, key: Key) -> String {
    match key.accepts() {
        Accepts::Number { min, max } => {
            let to = language.pick("to", "à");
            let unit = key.unit();
            format!("{min} {to} {max} {unit}").trim_end().to_owned()
        }
        Accepts::OneOf(words) => words
            .iter()
            .map(|word| code(word))
            .collect::<Vec<_>>()
            .join(", "),
        // The rule of a short text leaves no room for a longer one.
        Accepts::Text { max_len, rule } if max_len < 20 => language.say(rule),
        Accepts::Text { max_len, rule } => {
            let rule = language.say(rule);
            let at_most = language.pick("at most", "au plus");
            let bytes = language.pick("bytes", "octets");
            let semicolon = language.pick(";", " ;");
            format!("{rule}{semicolon} {at_most} {max_len} {bytes}")
        }
        other => other.to_string(),
    }
}

/// What is not named here comes at the end.
const GROUPS: [(&str, &str, &[&str]); 6] = [
    (
        "The board",
        "La carte",
        &[
            "role",
            "name",
            "board",
            "button-pin",
            "button-active-low",
            "debounce",
            "double-press",
            "hold-press",
            "led-pin",
            "led-kind",
            "led-restore",
            "led-status",
            "log-level",
            "factory-reset-button",
            "info-interval",
            "sleep",
        ],
    ),
    (
        "The network",
        "Le réseau",
        &[
            "wifi-ssid",
            "wifi-password",
            "hostname",
            "address",
            "gateway",
            "dns",
        ],
    ),
    (
        "The broker",
        "Le courtier",
        &["broker", "port", "user", "password", "client-id", "mqtt"],
    ),
    (
        "From button to light",
        "Du bouton à la lumière",
        &[
            "topic",
            "pair",
            "payload-on",
            "payload-off",
            "qos",
            "retain",
            "topics",
        ],
    ),
    (
        "Staying connected",
        "Rester connecté",
        &[
            "keep-alive",
            "ping-timeout",
            "connect-timeout",
            "session-expiry",
            "backoff-base",
            "backoff-cap",
            "stable-uptime",
        ],
    ),
    (
        "Home Assistant",
        "Home Assistant",
        &["home-assistant", "home-assistant-prefix"],
    ),
];

const ENGLISH: &str = "\
# Settings

<!-- Made by `cargo xtask docs` from the table in crates/board. Don't edit this file. -->

Everything that can be set on a board. The names and values are the same everywhere:

| where | how |
|---|---|
| while the firmware is written | `declic flash --set KEY=VALUE`, or `--settings FILE` with lines `key = \"value\"` |
| later, from the computer | `declic config set KEY VALUE`, `declic config import FILE` |
| on the board's [console](console.md) | `set KEY VALUE`, then `save` and `restart` |
| on a virtual board, which has no use for Wi-Fi and pins | `declic board --set KEY=VALUE` |

An empty default means that the setting is empty. Bytes are counted in UTF-8: an accented letter has two. A
secret is never shown, only whether it is set.

Every value is checked when it is set; one that is not accepted changes nothing.
";

const FRENCH: &str = "\
# Réglages

<!-- Écrit par `cargo xtask docs` à partir de la table de crates/board. Ne pas modifier ici. -->

Tout ce qui se règle sur une carte. Les noms et les valeurs sont partout les mêmes :

| où | comment |
|---|---|
| à l'écriture du programme | `declic flash --set RÉGLAGE=VALEUR`, ou `--settings FICHIER` avec des lignes `réglage = \"valeur\"` |
| plus tard, depuis l'ordinateur | `declic config set RÉGLAGE VALEUR`, `declic config import FICHIER` |
| sur la [console](console.md) de la carte | `set RÉGLAGE VALEUR`, puis `save` et `restart` |
| sur une carte virtuelle, qui n'a que faire du Wi-Fi et des broches | `declic board --set RÉGLAGE=VALEUR` |

Sans valeur par défaut, le réglage est vide. Les octets sont comptés en UTF-8 : une lettre accentuée en prend
deux. Un secret n'est jamais affiché ; on voit seulement s'il est défini.

Chaque valeur est vérifiée quand on la donne ; une valeur refusée ne change rien.
";

const NUMBERS_ENGLISH: &str = "
## In flash

A board stores each setting that was changed under a number, which never changes and is never given to another
setting. So an older or newer program keeps what it does not know. **Passwords are stored as they are
typed:** whoever holds the board can read them out.

";

const NUMBERS_FRENCH: &str = "
## En mémoire

La carte enregistre chaque réglage changé sous un numéro, qui ne change jamais et n'est jamais donné à un autre. Un
programme plus ancien ou plus récent garde ainsi ce qu'il ne connaît pas. **Les mots de passe sont enregistrés tels
quels :** qui tient la carte peut les lire.

";
