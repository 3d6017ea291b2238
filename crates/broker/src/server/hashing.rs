//! Threads that check hashed passwords, and what they have found.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use declic_mqtt::ReasonCode;
use sha2::{Digest as _, Sha256};

use super::passwords::{Answer, REFUSED};
use super::{Handle, admission};
use crate::hashes::{Hash, Memory};
use crate::{Authenticate, ConnId, Identity, Ticket};

/// Checks passwords elsewhere, each name and password once.
pub(super) struct Hashing {
    queue: Arc<Queue>,
    /// Keys what is remembered, so that nobody can make two passwords look the same.
    key: [u8; 32],
    accepted: Verdicts,
    rejected: Verdicts,
    /// Who waits for which check.
    waiting: HashMap<Digest, Waiting>,
    /// The check that a connection waits for.
    awaited: HashMap<ConnId, Digest>,
    /// Counts the times that users were read: an answer about earlier ones says nothing.
    epoch: u64,
}

type Digest = [u8; 32];

struct Waiting {
    name: Box<str>,
    tickets: HashMap<ConnId, Ticket>,
    /// Shared with the job.
    is_given_up: Arc<AtomicBool>,
}

/// One check.
struct Job {
    digest: Digest,
    epoch: u64,
    hash: Arc<Hash>,
    /// Whether there is such a user: the hash is another's if not.
    exists: bool,
    password: Box<[u8]>,
    /// Whether all who waited for it have left.
    is_given_up: Arc<AtomicBool>,
}

/// The checks that wait. Addresses take turns: whoever sends many has to wait for himself only.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    by_address: HashMap<Option<IpAddr>, VecDeque<Job>>,
    turns: VecDeque<Option<IpAddr>>,
    length: usize,
    stop: bool,
}

impl Hashing {
    /// # Errors
    /// The system gives no random bytes.
    pub(super) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self {
            queue: Arc::default(),
            key,
            accepted: Verdicts::new(MAX_ACCEPTED),
            rejected: Verdicts::new(MAX_REJECTED),
            waiting: HashMap::new(),
            awaited: HashMap::new(),
            epoch: 0,
        })
    }

    /// Starts threads that check.
    pub(super) fn start(&self, threads: usize, broker: &Handle) -> io::Result<()> {
        for number in 0..threads {
            let (queue, broker) = (Arc::clone(&self.queue), broker.clone());
            std::thread::Builder::new()
                .name(format!("passwords-{number}"))
                .spawn(move || {
                    let mut memory = Memory::default();
                    while let Some(job) = queue.take(|| memory = Memory::default()) {
                        let is_right = job.hash.is_of(&job.password, &mut memory) && job.exists;
                        let told = broker.verified(job.digest, job.epoch, is_right);
                        if told.is_err() {
                            return;
                        }
                    }
                })?;
        }
        Ok(())
    }

    /// Whether it is the password, if that is known already; otherwise it is found out.
    pub(super) fn check(
        &mut self,
        asked: &Authenticate,
        name: &str,
        password: &[u8],
        hash: &Arc<Hash>,
        exists: bool,
        address: Option<IpAddr>,
    ) -> Option<Answer> {
        let digest = self.digest(name, password);
        if self.accepted.contains(&digest) {
            return Some(Ok(Identity::User(name.into())));
        }
        if self.rejected.contains(&digest) {
            return Some(REFUSED);
        }
        if let Some(waiting) = self.waiting.get_mut(&digest) {
            waiting.tickets.insert(asked.conn, asked.ticket);
            self.awaited.insert(asked.conn, digest);
            return None;
        }
        let is_given_up = Arc::new(AtomicBool::new(false));
        let job = Job {
            digest,
            epoch: self.epoch,
            hash: Arc::clone(hash),
            exists,
            password: password.into(),
            is_given_up: Arc::clone(&is_given_up),
        };
        if !self.queue.put(job, address) {
            return Some(Err(ReasonCode::ServerBusy));
        }
        let waiting = Waiting {
            name: name.into(),
            tickets: HashMap::from([(asked.conn, asked.ticket)]),
            is_given_up,
        };
        self.waiting.insert(digest, waiting);
        self.awaited.insert(asked.conn, digest);
        None
    }

    /// A client has left, whether it waited or not. What nobody waits for any more is not checked.
    pub(super) fn left(&mut self, conn: ConnId) {
        let Some(digest) = self.awaited.remove(&conn) else {
            return;
        };
        let Some(waiting) = self.waiting.get_mut(&digest) else {
            return;
        };
        waiting.tickets.remove(&conn);
        if waiting.tickets.is_empty() {
            waiting.is_given_up.store(true, Ordering::Relaxed);
            self.waiting.remove(&digest);
        }
    }

    /// A check is done. Returns the answer for those who waited for it.
    pub(super) fn verified(
        &mut self,
        digest: Digest,
        epoch: u64,
        is_right: bool,
    ) -> Option<(Answer, Vec<Ticket>)> {
        if epoch != self.epoch {
            return None;
        }
        // Good to know, even if all who asked have left meanwhile.
        match is_right {
            true => self.accepted.insert(digest),
            false => self.rejected.insert(digest),
        }
        let waiting = self.waiting.remove(&digest)?;
        for conn in waiting.tickets.keys() {
            self.awaited.remove(conn);
        }
        let answer = match is_right {
            true => Ok(Identity::User(waiting.name)),
            false => REFUSED,
        };
        Some((answer, waiting.tickets.into_values().collect()))
    }

    /// The users are others now: nothing that was found out counts. Returns who waited; they have
    /// to be asked to try again.
    pub(super) fn forget(&mut self) -> Vec<Ticket> {
        self.epoch += 1;
        self.accepted.clear();
        self.rejected.clear();
        self.queue.clear();
        self.awaited.clear();
        let waiting = std::mem::take(&mut self.waiting).into_values();
        waiting.flat_map(|one| one.tickets.into_values()).collect()
    }

    /// A number that belongs to a name, and that nobody can guess.
    pub(super) fn pick(&self, name: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(name, b"");
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn digest(&self, name: &str, password: &[u8]) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(password);
        hasher.finalize().into()
    }
}

impl fmt::Debug for Hashing {
    /// Shows no passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashing").finish_non_exhaustive()
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.queue.lock().stop = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    /// Returns whether there was room.
    fn put(&self, job: Job, address: Option<IpAddr>) -> bool {
        let address = address.map(admission::place);
        let mut state = self.lock();
        let State {
            by_address,
            turns,
            length,
            ..
        } = &mut *state;
        if *length >= MAX_WAITING {
            return false;
        }
        let jobs = by_address.entry(address).or_insert_with(|| {
            turns.push_back(address);
            VecDeque::new()
        });
        if jobs.len() >= MAX_WAITING / 2 {
            return false;
        }
        jobs.push_back(job);
        *length += 1;
        self.changed.notify_one();
        true
    }

    /// The next one, once there is one; before it is waited for, `rest` is called. `None` at the
    /// end.
    fn take(&self, mut rest: impl FnMut()) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            while let Some(job) = state.next() {
                if !job.is_given_up.load(Ordering::Relaxed) {
                    return Some(job);
                }
            }
            rest();
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn clear(&self) {
        let mut state = self.lock();
        let stop = state.stop;
        *state = State {
            stop,
            ..State::default()
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Job> {
        let address = self.turns.pop_front()?;
        let jobs = self.by_address.get_mut(&address)?;
        let job = jobs.pop_front()?;
        self.length -= 1;
        if jobs.is_empty() {
            self.by_address.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        Some(job)
    }
}

/// A bounded set: when it is full, what was put in longest ago goes.
struct Verdicts {
    young: std::collections::HashSet<Digest>,
    old: std::collections::HashSet<Digest>,
    limit: usize,
}

impl Verdicts {
    fn new(limit: usize) -> Self {
        Self {
            young: Default::default(),
            old: Default::default(),
            limit,
        }
    }

    fn contains(&self, digest: &Digest) -> bool {
        self.young.contains(digest) || self.old.contains(digest)
    }

    fn insert(&mut self, digest: Digest) {
        if self.young.len() >= self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest);
    }

    fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}

/// Names with their passwords that are remembered.
const MAX_ACCEPTED: usize = 200_000;
const MAX_REJECTED: usize = 20_000;
/// Checks that wait.
const MAX_WAITING: usize = 50_000;

#[cfg(test)]
mod tests {
    use declic_mqtt::packet::{Connect, Packet};
    use declic_mqtt::{Instant, ProtocolVersion};

    use super::*;
    use crate::config::Secret;
    use crate::{Effect, Engine, Limits, Users};

    fn job(number: u8) -> Job {
        let hash = Hash::parse(
            "$7$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        );
        Job {
            digest: [number; 32],
            epoch: 0,
            hash: Arc::new(hash.expect("a hash").expect("a valid one")),
            exists: true,
            password: Box::default(),
            is_given_up: Arc::default(),
        }
    }

    /// What an engine asks when somebody connects.
    fn asked(engine: &mut Engine, connect: &Connect<'_>) -> Authenticate {
        let now = Instant::ZERO;
        let conn = engine.handle_open(now).expect("there is room");
        let packet = Packet::Connect(*connect);
        let mut bytes = [0; 100];
        let length = packet
            .encode(ProtocolVersion::V5, &mut bytes)
            .expect("it fits");
        engine.handle_bytes(conn, &bytes[..length], now);
        std::iter::from_fn(|| engine.poll_effect())
            .find_map(|effect| match effect {
                Effect::Authenticate(asked) => Some(*asked),
                _ => None,
            })
            .expect("it is asked who that is")
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_checked() {
        let mut engine = Engine::new(Limits::default(), 1).with_authentication();
        let mut hashing = Hashing::new().expect("random bytes");
        let hash = job(0).hash;
        let mut check = |hashing: &mut Hashing, name: &str| {
            let connect = Connect::new(ProtocolVersion::V5, "");
            let asked = asked(&mut engine, &connect);
            assert_eq!(hashing.check(&asked, name, b"x", &hash, true, None), None);
            asked.conn
        };
        let (first, second) = (check(&mut hashing, "ann"), check(&mut hashing, "ann"));
        let other = check(&mut hashing, "bob");
        // Somebody waits for it still.
        hashing.left(first);
        let job = hashing.queue.take(|| {}).expect("a check");
        let told = hashing.verified(job.digest, job.epoch, true);
        assert!(matches!(told, Some((Ok(_), tickets)) if tickets.len() == 1));
        hashing.left(second);
        // Nobody does; the next one is another's.
        hashing.left(other);
        check(&mut hashing, "eve");
        let job = hashing.queue.take(|| {}).expect("a check");
        assert_eq!(job.digest, hashing.digest("eve", b"x"));
        assert_eq!((hashing.waiting.len(), hashing.awaited.len()), (1, 1));
        assert_eq!(hashing.queue.lock().length, 0);
    }

    #[test]
    fn whoever_has_many_ipv6_addresses_has_one_turn() {
        let queue = Queue::default();
        let ip = |text: &str| Some(text.parse().expect("an address"));
        for number in 1..=9 {
            assert!(queue.put(job(number), ip(&format!("2001:db8::{number}"))));
        }
        assert!(queue.put(job(100), ip("192.0.2.1")));
        let order = [queue.take(|| {}), queue.take(|| {})].map(|job| job.expect("a job").digest[0]);
        assert_eq!(order, [1, 100]);
    }

    #[test]
    fn a_name_that_does_not_exist_stands_for_any_user_and_always_for_the_same() {
        let hashed = crate::hash_password(b"x").expect("random bytes");
        let users = Users::parse(&format!("ann:plain\nbob:{hashed}")).expect("users");
        let hashing = Hashing::new().expect("random bytes");
        let is_hashed = |name: &str| {
            let secret = users.stand_in(hashing.pick(name)).expect("a user");
            matches!(secret, Secret::Hashed(_))
        };
        let names: Vec<_> = (0..200).map(|number| format!("user {number}")).collect();
        let slow = names.iter().filter(|name| is_hashed(name)).count();
        assert!((40..160).contains(&slow), "{slow} of 200");
        assert!(names.iter().all(|name| is_hashed(name) == is_hashed(name)));
    }
}
