//! Who somebody is who wants to connect. Plain passwords are compared at once. Checking a hashed
//! one takes long by design, so threads of their own do that, and what they found is remembered.

#[cfg(feature = "hashes")]
use std::io;
use std::net::IpAddr;

use declic_mqtt::ReasonCode;

#[cfg(feature = "hashes")]
use super::{Handle, hashing::Hashing};
use crate::config::{Secret, equal_in_constant_time};
use crate::{Authenticate, Identity, Users};
#[cfg(feature = "hashes")]
use crate::{ConnId, Ticket};

/// The users, and what is known of their passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    users: Option<Users>,
    /// Whether those who give no name may come in.
    anonymous: bool,
    #[cfg(feature = "hashes")]
    hashing: Hashing,
}

/// The answer to somebody who wants to connect.
pub(super) type Answer = Result<Identity, ReasonCode>;

impl Passwords {
    /// Without `users` everybody may come in.
    pub(super) fn new(
        users: Option<Users>,
        anonymous: bool,
        #[cfg(feature = "hashes")] hashing: Hashing,
    ) -> Self {
        Self {
            users,
            anonymous,
            #[cfg(feature = "hashes")]
            hashing,
        }
    }

    /// Starts the threads that check hashed passwords, where there are users.
    #[cfg(feature = "hashes")]
    pub(super) fn start(&self, threads: usize, broker: &Handle) -> io::Result<()> {
        match &self.users {
            Some(_) => self.hashing.start(threads, broker),
            None => Ok(()),
        }
    }

    /// Others are users now.
    pub(super) fn set_users(&mut self, users: Users) {
        self.users = Some(users);
    }

    /// A check is done. Returns the answer for those who waited for it.
    #[cfg(feature = "hashes")]
    pub(super) fn verified(
        &mut self,
        digest: [u8; 32],
        epoch: u64,
        is_right: bool,
    ) -> Option<(Answer, Vec<Ticket>)> {
        self.hashing.verified(digest, epoch, is_right)
    }

    /// A client has left: it waits for nothing any more.
    #[cfg(feature = "hashes")]
    pub(super) fn left(&mut self, conn: ConnId) {
        self.hashing.left(conn);
    }

    /// Forgets what was found out about passwords. Returns who waits for it still.
    #[cfg(feature = "hashes")]
    pub(super) fn forget(&mut self) -> Vec<Ticket> {
        self.hashing.forget()
    }

    /// The answer, or `None` when it takes longer.
    #[cfg_attr(not(feature = "hashes"), expect(unused_variables))]
    pub(super) fn check(
        &mut self,
        asked: &Authenticate,
        address: Option<IpAddr>,
    ) -> Option<Answer> {
        let Some(users) = &self.users else {
            return Some(Ok(Identity::Anonymous));
        };
        let Some(name) = asked.user_name.as_deref() else {
            return Some(match self.anonymous {
                true => Ok(Identity::Anonymous),
                false => REFUSED,
            });
        };
        let password = asked.password.as_deref().unwrap_or_default();
        if name.len() > MAX_LENGTH || password.len() > MAX_LENGTH {
            return Some(REFUSED);
        }
        match users.secret(name) {
            Some(Secret::Plain(expected)) => {
                Some(match equal_in_constant_time(expected, password) {
                    true => Ok(Identity::User(name.into())),
                    false => REFUSED,
                })
            }
            #[cfg(feature = "hashes")]
            Some(Secret::Hashed(hash)) => self
                .hashing
                .check(asked, name, password, hash, true, address),
            // A name that does not exist takes as long as one that does.
            #[cfg(feature = "hashes")]
            None => match users.stand_in(self.hashing.pick(name)) {
                Some(Secret::Hashed(hash)) => self
                    .hashing
                    .check(asked, name, password, hash, false, address),
                _ => Some(REFUSED),
            },
            #[cfg(not(feature = "hashes"))]
            None => Some(REFUSED),
        }
    }
}

pub(super) const REFUSED: Answer = Err(ReasonCode::BadUserNameOrPassword);
/// Bytes of a name or a password: what is longer belongs to nobody.
const MAX_LENGTH: usize = 1_024;
