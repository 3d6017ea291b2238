//! Standard input, read by a thread of its own, so that nothing waits for it.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use mio::Waker;

/// What a thread reads from standard input, a few pieces ahead.
pub struct Stdin {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Read, and not taken yet.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken.
    taken: usize,
    /// Bytes of `buffer` in which there is no line's end.
    searched: usize,
    is_ended: bool,
}

/// What there is to take.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<'a> {
    Some(&'a [u8]),
    /// Nothing yet: the waker will wake.
    Later,
    End,
}

impl Stdin {
    /// Begins to read, waking `waker` at each piece and at the end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn read(waker: Arc<Waker>) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(PIECES);
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                let mut stdin = io::stdin().lock();
                loop {
                    let mut piece = vec![0; PIECE_SIZE];
                    let result = match stdin.read(&mut piece) {
                        Ok(0) => break,
                        Ok(len) => {
                            piece.truncate(len);
                            Ok(piece)
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => Err(error),
                    };
                    let failed = result.is_err();
                    if sender.send(result).is_err() || waker.wake().is_err() || failed {
                        break;
                    }
                }
                drop(sender);
                let _ = waker.wake();
            })?;
        Ok(Self::new(pieces))
    }

    const fn new(pieces: Receiver<io::Result<Vec<u8>>>) -> Self {
        Self {
            pieces,
            buffer: Vec::new(),
            taken: 0,
            searched: 0,
            is_ended: false,
        }
    }

    /// The next line, without its end, until [`Self::take`] is called. The last line needs none.
    ///
    /// # Errors
    /// Standard input can't be read, or the line is longer than any message.
    pub fn line(&mut self) -> io::Result<Input<'_>> {
        loop {
            let rest = &self.buffer[self.taken..];
            if let Some(at) = rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                return Ok(Input::Some(&self.buffer[self.taken..self.taken + end]));
            }
            self.searched = rest.len();
            if !self.is_ended {
                if !self.fill(MAX_MESSAGE)? {
                    return Ok(Input::Later);
                }
            } else if rest.is_empty() {
                return Ok(Input::End);
            } else {
                return Ok(Input::Some(&self.buffer[self.taken..]));
            }
        }
    }

    /// The line that [`Self::line`] returned is done with.
    pub fn take(&mut self, len: usize) {
        self.taken = (self.taken + len + 1).min(self.buffer.len());
        self.searched = 0;
    }

    /// All of standard input, once it has ended; `None` before.
    ///
    /// # Errors
    /// Standard input can't be read, or is longer than any message.
    pub fn all(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.is_ended {
            if !self.fill(MAX_MESSAGE)? {
                return Ok(None);
            }
        }
        Ok(Some(std::mem::take(&mut self.buffer)))
    }

    /// Takes one piece, or the end; `false` when neither is there yet.
    fn fill(&mut self, limit: usize) -> io::Result<bool> {
        match self.pieces.try_recv() {
            Ok(piece) => {
                self.buffer.drain(..self.taken);
                self.taken = 0;
                self.buffer.append(&mut piece?);
                if self.buffer.len() > limit + PIECE_SIZE {
                    return Err(io::Error::other(format!(
                        "a message has at most {limit} bytes"
                    )));
                }
            }
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => self.is_ended = true,
        }
        Ok(true)
    }
}

const PIECES: usize = 4;
const PIECE_SIZE: usize = 64 * 1024;
/// More than that no packet has (section 2.1.4 of 5.0).
const MAX_MESSAGE: usize = 268_435_455;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let (sender, pieces) = sync_channel(8);
        let mut stdin = Stdin::new(pieces);
        assert_eq!(stdin.line().expect("readable"), Input::Later);
        for piece in [&b"on"[..], b"e\n\ntwo", b"\r\n", b"three"] {
            sender.send(Ok(piece.to_vec())).expect("room");
        }
        for line in [&b"one"[..], b"", b"two\r"] {
            assert_eq!(stdin.line().expect("readable"), Input::Some(line));
            stdin.take(line.len());
        }
        assert_eq!(stdin.line().expect("readable"), Input::Later);
        drop(sender);
        assert_eq!(stdin.line().expect("readable"), Input::Some(b"three"));
        stdin.take(5);
        assert_eq!(stdin.line().expect("readable"), Input::End);
    }

    #[test]
    fn all_of_it_comes_at_the_end() {
        let (sender, pieces) = sync_channel(8);
        let mut stdin = Stdin::new(pieces);
        sender.send(Ok(b"a\n".to_vec())).expect("room");
        assert_eq!(stdin.all().expect("readable"), None);
        sender.send(Ok(b"b".to_vec())).expect("room");
        drop(sender);
        assert_eq!(stdin.all().expect("readable"), Some(b"a\nb".to_vec()));
    }
}
