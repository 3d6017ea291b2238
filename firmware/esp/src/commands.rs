//! The console's commands, until the parser of `declic-board` takes them over.

use core::fmt;

use declic_board::{Key, Settings};

use crate::board_task::Owner;
use crate::{clock, net, restart, say};

impl Owner {
    /// Collects typed bytes into lines and carries them out.
    pub fn typed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    let line = core::mem::take(&mut self.line);
                    match core::str::from_utf8(&line) {
                        Ok(line) => self.command(line.trim_ascii()),
                        Err(_) => say!("that was no UTF-8"),
                    }
                }
                0x08 | 0x7f => {
                    self.line.pop();
                }
                byte => {
                    // A line that is too long is no command.
                    let _ = self.line.push(*byte);
                }
            }
        }
    }

    fn command(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "" => {}
            "help" => say!(
                "help  status  get [KEY]  set KEY VALUE  save  press  scan  restart  factory-reset"
            ),
            "status" => self.status(),
            "get" if rest.is_empty() => {
                Key::ALL.iter().for_each(|key| self.get(key.name()));
            }
            "get" => self.get(rest),
            "set" => {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.set(key, value);
            }
            "save" => self.save(),
            "press" => self.board.press(clock::now()),
            "scan" => net::scan(),
            "restart" => restart::restart(),
            "factory-reset" => match self.store.forget() {
                Ok(()) => restart::restart(),
                Err(error) => say!("not forgotten: {error}"),
            },
            _ => say!("there is no command `{verb}`; try help"),
        }
    }

    fn status(&self) {
        let board = &self.board;
        say!("id {}, role {}", board.id(), board.role());
        say!("address {}", Optional(self.address));
        say!(
            "connected {}, reconnects {}, presses {}, light {}",
            board.is_connected(),
            board.reconnects(),
            board.presses(),
            board.light()
        );
        say!("last restart: {}", self.restart_reason);
    }

    fn get(&self, key: &str) {
        match self.settings.get(key) {
            Ok(value) => say!("{key} = {value}"),
            Err(error) => say!("{error}"),
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        match self.settings.set(key, value) {
            Ok(()) => say!("ok; `save` keeps it, and after `restart` it is used"),
            Err(error) => say!("{error}"),
        }
    }

    fn save(&mut self) {
        let defaults = Settings::default();
        for key in Key::ALL {
            if self.stored.contains(*key) || !self.settings.agrees(&defaults, *key) {
                if let Err(error) = self.store.store(*key, &self.settings.value(*key)) {
                    return say!("not saved: {error}");
                }
                self.stored.insert(*key);
            }
        }
        say!("saved");
    }
}

struct Optional<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Optional<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("none"),
        }
    }
}
