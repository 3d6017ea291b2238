//! The console's commands, from the board's own table of them.

use declic_board::console::Command;

use super::language::Language;
use super::markdown::{code, table};

pub fn page(language: &Language) -> String {
    let commands = table(
        language.pick(["Command", "What it does"], ["Commande", "Ce qu'elle fait"]),
        Command::ALL
            .iter()
            .map(|(usage, doc)| [code(usage), language.say(doc)]),
    );
    let lines = table(
        language.pick(["Line", "What it is"], ["Ligne", "Ce que c'est"]),
        LINES
            .map(|(line, english, french)| [code(line), language.pick(english, french).to_owned()]),
    );
    let status = table(
        language.pick(["Key", "Value"], ["Clé", "Valeur"]),
        STATUS.map(|(key, english, french)| [code(key), language.pick(english, french).to_owned()]),
    );
    language
        .pick(ENGLISH, FRENCH)
        .replace("@COMMANDS@\n", &commands)
        .replace("@LINES@\n", &lines)
        .replace("@STATUS@\n", &status)
}

const LINES: [(&str, &str, &str); 5] = [
    (
        "[12.345] info: text",
        "a log line: seconds since the start, a level (`error`, `warn`, `info`, `debug`), a text. It may \
         come at any time, also within an answer",
        "une ligne du journal : secondes depuis le démarrage, niveau (`error`, `warn`, `info`, `debug`), \
         texte. Elle peut venir à tout moment, même au milieu d'une réponse",
    ),
    (
        "> command",
        "the command that was read; its answer follows",
        "la commande lue ; sa réponse suit",
    ),
    (
        "ok",
        "the end of an answer: done. Also `ok: text`",
        "fin d'une réponse : c'est fait. Aussi `ok: text`",
    ),
    (
        "error: text",
        "the end of an answer: not done, and why",
        "fin d'une réponse : ce n'est pas fait, et pourquoi",
    ),
    (
        "key=value",
        "a line of an answer, as any other",
        "une ligne de réponse, comme toute autre",
    ),
];

const STATUS: [(&str, &str, &str); 24] = [
    (
        "console",
        "version of this interface",
        "version de cette interface",
    ),
    (
        "id",
        "the board's id, 12 hex digits",
        "l'identifiant de la carte, 12 chiffres hexadécimaux",
    ),
    ("name", "setting `name`", "réglage `name`"),
    ("role", "setting `role`", "réglage `role`"),
    ("version", "version of the program", "version du programme"),
    ("chip", "the chip", "la puce"),
    ("address", "IP address", "adresse IP"),
    (
        "rssi",
        "strength of the Wi-Fi in dBm",
        "force du Wi-Fi en dBm",
    ),
    (
        "broker",
        "the broker's name or address, and its port",
        "nom ou adresse du courtier, et port",
    ),
    (
        "connection",
        "`down` (no network), `waiting` (for the next attempt), `connecting`, `connected`, `stopped`",
        "`down` (pas de réseau), `waiting` (jusqu'au prochain essai), `connecting`, `connected`, `stopped`",
    ),
    ("mqtt", "MQTT version", "version de MQTT"),
    ("subscribed", "`yes` or `no`", "`yes` ou `no`"),
    ("light", "`ON` or `OFF`", "`ON` ou `OFF`"),
    (
        "presses",
        "presses since the start",
        "appuis depuis le démarrage",
    ),
    (
        "unsent",
        "whether something still waits to be sent",
        "quelque chose attend-il d'être envoyé ?",
    ),
    (
        "reconnects",
        "connections after the first",
        "connexions après la première",
    ),
    (
        "dropped-events",
        "button events that found no room",
        "évènements du bouton restés sans place",
    ),
    (
        "uptime",
        "seconds since the start",
        "secondes depuis le démarrage",
    ),
    ("boots", "starts so far", "nombre de démarrages"),
    (
        "restart-reason",
        "why it started last",
        "raison du dernier démarrage",
    ),
    ("free-memory", "bytes", "octets"),
    (
        "unsaved",
        "settings that `save` would store",
        "réglages que `save` enregistrerait",
    ),
    (
        "offline",
        "seconds without a connection since the start",
        "secondes sans connexion depuis le démarrage",
    ),
    (
        "awake-ms",
        "milliseconds awake since the board was last without power, of boards that sleep",
        "millisecondes d'éveil depuis la dernière coupure, pour les cartes qui dorment",
    ),
];

const ENGLISH: &str = "\
# Console

<!-- Made by `cargo xtask docs` from the command table in crates/board. Don't edit this file. -->

Every board listens and writes on its serial port, and on its own USB port if it has one: text in UTF-8 at
115200 baud. `declic monitor` opens it, and so does any serial terminal. `declic config` uses it.

## Commands

@COMMANDS@

The value of `set` is the rest of the line. In double quotes, blanks at its ends belong to it:
`set wifi-password \" secret \"`. `save` keeps what was set. Some settings count at once and others after
`restart`; the answer says which. `restart now` drops what was not saved. [Settings](settings.md) has all keys. A
line has 160 bytes at most; Backspace takes the last character away, Ctrl-C or Ctrl-U the whole line.

## Lines that the board writes

@LINES@

Every command has one answer, and answers come in the order of the commands. Passwords are never printed:
`get` says `(set)` or `(not set)`.

## What `status` says

What is not known is left out.

@STATUS@

## For programs

This is version 1 of the interface. Send Ctrl-U (0x15) before a command, so that what stood in the line does not
matter, and quote every value of `set`. `scan` answers with lines
`network rssi=DBM channel=N security=WORD ssid=NAME`. The last value of a line goes to its end. New commands,
keys and settings may come without a new version: leave out what you don't know.

[Improv Wi-Fi](https://www.improv-wifi.com/serial) is spoken on the same wire: its frames may come between the bytes of what is
typed, and only then are there frames between the lines that the board writes. `declic config wifi` and browsers use it.
";

const FRENCH: &str = "\
# Console

<!-- Écrit par `cargo xtask docs` à partir de la table des commandes de crates/board. Ne pas modifier ici. -->

Chaque carte écoute et écrit sur son port série, et sur son propre port USB si elle en a un : du texte en UTF-8
à 115200 bauds. `declic monitor` l'ouvre, comme tout terminal série. `declic config` s'en sert.

## Commandes

@COMMANDS@

La valeur de `set` est le reste de la ligne. Entre guillemets droits, les espaces du début et de la fin en font
partie : `set wifi-password \" secret \"`. `save` enregistre ce qui a été changé. Certains réglages comptent
aussitôt, d'autres après `restart` ; la réponse le dit. `restart now` abandonne ce qui n'est pas enregistré. Toutes
les clés sont dans [Réglages](settings.md). Une ligne fait au plus 160 octets ; Retour arrière efface le dernier
caractère, Ctrl-C ou Ctrl-U toute la ligne.

## Ce qu'écrit la carte

@LINES@

Chaque commande a une réponse, et les réponses viennent dans l'ordre des commandes. Les mots de passe ne sont
jamais affichés : `get` dit `(set)`, défini, ou `(not set)`, non défini.

## Ce que dit `status`

Ce qui n'est pas connu est omis.

@STATUS@

## Pour les programmes

C'est la version 1 de l'interface. Envoyez Ctrl-U (0x15) avant une commande : ce qui restait dans la ligne ne compte
plus. Mettez toute valeur de `set` entre guillemets. `scan` répond par des lignes
`network rssi=DBM channel=N security=WORD ssid=NAME`. La dernière valeur d'une ligne va jusqu'à sa fin. De nouvelles
commandes, clés et réglages peuvent venir sans nouvelle version : ignorez ce que vous ne connaissez pas.

[Improv Wi-Fi](https://www.improv-wifi.com/serial) passe sur le même fil : ses trames peuvent venir entre les octets tapés, et
c'est alors seulement que des trames viennent entre les lignes que la carte écrit. `declic config wifi` et les navigateurs
s'en servent.
";
