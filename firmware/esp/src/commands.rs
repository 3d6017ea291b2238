//! The console's commands, until the parser of `declic-board` takes them over.

use core::fmt;

use declic_board::{Key, SettingError};
use heapless::String;

use crate::board_task::Owner;
use crate::hardware::Hardware;
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
                let keys = Key::ALL.iter().map(|key| key.name());
                keys.chain(Hardware::KEYS).for_each(|key| self.get(key));
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
            "factory-reset" => match self.store.erase() {
                Ok(()) => restart::restart(),
                Err(_) => say!("the flash can't be erased"),
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
        if let Ok(value) = self.settings.get(key) {
            say!("{key} = {value}");
        } else if key == "wifi-password" {
            let set = !self.hardware.wifi_password.is_empty();
            say!("{key} = {}", if set { "(set)" } else { "" });
        } else if Hardware::KEYS.contains(&key) {
            let mut value = String::<64>::new();
            let _ = self.hardware.write(key, &mut value);
            say!("{key} = {value}");
        } else {
            say!("there is no setting `{key}`");
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        match self.settings.set(key, value) {
            Err(SettingError::UnknownKey(_)) => match self.hardware.set(key, value) {
                Some(()) => {}
                None if Hardware::KEYS.contains(&key) => return say!("{key} can't be that"),
                None => return say!("there is no setting `{key}`"),
            },
            Err(error) => return say!("{error}"),
            Ok(()) => {}
        }
        say!("ok; `save` keeps it, and after `restart` it is used");
    }

    fn save(&mut self) {
        let mut result = Ok(());
        let mut value = String::<128>::new();
        for key in Key::ALL {
            value.clear();
            let _ = self.settings.write_value(*key, &mut value);
            if value != key.default_value() {
                result = result.and(self.store.save(key.name(), &value));
            }
        }
        for key in Hardware::KEYS {
            value.clear();
            let _ = self.hardware.write(key, &mut value);
            result = result.and(self.store.save(key, &value));
        }
        say!(
            "{}",
            if result.is_ok() {
                "saved"
            } else {
                "the flash can't be written"
            }
        );
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
