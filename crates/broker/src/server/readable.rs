//! Whose turn it is to be read from.

use std::collections::VecDeque;

use super::socket::Socket;
use crate::ConnId;

/// Sockets to read from, in turn. Who sends much must not keep those waiting who send little.
#[derive(Debug, Default)]
pub(super) struct Readable {
    light: VecDeque<ConnId>,
    /// Those that were [heavy](Socket::weigh) when they were read from last.
    heavy: VecDeque<ConnId>,
}

impl Readable {
    /// Lists a socket, unless it is listed already.
    pub(super) fn list(&mut self, socket: &mut Socket) {
        if !socket.listed {
            socket.listed = true;
            self.of(socket.heavy).push_back(socket.conn);
        }
    }

    pub(super) const fn of(&mut self, is_heavy: bool) -> &mut VecDeque<ConnId> {
        match is_heavy {
            true => &mut self.heavy,
            false => &mut self.light,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }
}
