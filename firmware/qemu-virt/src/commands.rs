//! The console's commands, until the parser of `declic-board` takes them over.

use declic_board::{Connection, Key};

use crate::board_task::{Ending, Owner};
use crate::storage::Store;
use crate::{clock, say};

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
                0x08 | 0x7f => drop(self.line.pop()),
                // A line that is too long is no command.
                byte => drop(self.line.push(*byte)),
            }
        }
    }

    fn command(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "" => {}
            "help" => say!(
                "help  status  get [KEY]  set KEY VALUE  save  press  restart  factory-reset  quit"
            ),
            "status" => self.status(),
            "get" if rest.is_empty() => Key::ALL.iter().for_each(|key| self.get(key.name())),
            "get" => self.get(rest),
            "set" => {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                match self.settings.set(key, value) {
                    Ok(()) => say!("ok; `save` keeps it, and after `restart` it is used"),
                    Err(error) => say!("{error}"),
                }
            }
            "save" => self.save(),
            "press" => self.board.press(clock::now()),
            "restart" => self.end(Ending::Restart),
            "factory-reset" => match self.store.as_mut().map(Store::forget) {
                Some(Err(error)) => say!("{error}"),
                Some(Ok(())) | None => self.end(Ending::Restart),
            },
            "quit" => self.end(Ending::PowerOff),
            _ => say!("there is no command `{verb}`; try help"),
        }
    }

    fn status(&self) {
        let board = &self.board;
        let connection = match board.connection() {
            Connection::Connected { .. } => "connected",
            Connection::Opening { .. } | Connection::Handshake => "connecting",
            Connection::Waiting { .. } => "waiting",
            _ => "down",
        };
        let yes_or_no = |yes| if yes { "yes" } else { "no" };
        say!(
            "status id={} role={} connection={connection} mqtt={} subscribed={} light={} presses={} \
             unsent={} reconnects={} clock={}",
            board.id(),
            board.role(),
            board.version(),
            yes_or_no(board.is_subscribed()),
            if board.light() { "ON" } else { "OFF" },
            board.presses(),
            yes_or_no(board.has_unsent()),
            board.reconnects(),
            clock::now().as_micros(),
        );
    }

    fn get(&self, key: &str) {
        match self.settings.get(key) {
            Ok(value) => say!("{key} = {value}"),
            Err(error) => say!("{error}"),
        }
    }

    fn save(&mut self) {
        let Some(store) = &mut self.store else {
            return say!("there is no flash to keep the settings in");
        };
        for key in Key::ALL {
            if self.settings.agrees(&self.stored, *key) {
                continue;
            }
            let value = self.settings.value(*key);
            if let Err(error) = store.store(*key, &value) {
                return say!("{error}");
            }
            // Can't fail: it was set before.
            let _ = self.stored.set_key(*key, &value);
        }
        say!("saved");
    }
}
