//! Passwords as they are kept: hashed with argon2, or as Mosquitto does it.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64, Base64Unpadded, Encoding};
use sha2::{Digest as _, Sha512};

/// What hashing needs much of, kept from one password to the next: taking it from the system each
/// time costs a tenth of the whole.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

/// A password that can be recognized, and not be read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Hash {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Box<[u8]>,
        hash: Box<[u8]>,
    },
    /// `$7$` of Mosquitto.
    Pbkdf2 {
        iterations: u32,
        salt: Box<[u8]>,
        hash: Box<[u8]>,
    },
    /// `$6$` of Mosquitto before 2.0.
    Sha512 { salt: Box<[u8]>, hash: Box<[u8]> },
}

impl Hash {
    /// `None` for a text that begins like none of the known hashes.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        let (scheme, rest) = text.strip_prefix('$')?.split_once('$')?;
        Some(match scheme {
            "argon2id" | "argon2i" | "argon2d" => argon2(scheme, rest),
            "7" => pbkdf2(rest),
            "6" => sha512(rest),
            _ if scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
            {
                Err("this kind of hash is not known; argon2, and $6$ and $7$ of Mosquitto, are")
            }
            _ => return None,
        })
    }

    /// Whether it is the hash of this password. Takes as long as hashes shall take.
    pub(crate) fn is_of(&self, password: &[u8], memory: &mut Memory) -> bool {
        let (expected, mut found) = match self {
            Self::Argon2 { hash, .. } | Self::Pbkdf2 { hash, .. } | Self::Sha512 { hash, .. } => {
                (hash, vec![0; hash.len()])
            }
        };
        match self {
            Self::Argon2 {
                algorithm,
                version,
                params,
                salt,
                ..
            } => {
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                memory.0.resize(params.block_count(), Block::new());
                let blocks = &mut memory.0[..];
                if argon2
                    .hash_password_into_with_memory(password, salt, &mut found, blocks)
                    .is_err()
                {
                    return false;
                }
            }
            Self::Pbkdf2 {
                iterations, salt, ..
            } => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, *iterations, &mut found),
            Self::Sha512 { salt, .. } => found.copy_from_slice(&salted_sha512(password, salt)),
        }
        crate::config::equal_in_constant_time(expected, &found)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

/// Hashes a password with argon2id, as a file of users keeps it.
///
/// # Errors
/// The system gives no random bytes.
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|error| HashError(error.to_string()))?;
    let failed = |error: argon2::Error| HashError(error.to_string());
    let params = Params::new(MEMORY, PASSES, 1, Some(LENGTH)).map_err(failed)?;
    let mut hash = [0; LENGTH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, &salt, &mut hash)
        .map_err(failed)?;
    Ok(format!(
        "$argon2id$v=19$m={MEMORY},t={PASSES},p=1${}${}",
        Base64Unpadded::encode_string(&salt),
        Base64Unpadded::encode_string(&hash)
    ))
}

/// A new password that nobody can guess: 160 bits by chance, in 32 characters.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate_password() -> Result<String, HashError> {
    let mut bits = [0; 20];
    getrandom::fill(&mut bits).map_err(|error| HashError(error.to_string()))?;
    Ok(base32(&bits))
}

/// Hashes a password of [`generate_password`], as a file of users keeps it, and Mosquitto's too
/// (`$6$`). There is nothing to guess, so the hash need not be slow: thousands of clients with such
/// passwords can come at once. Never for passwords that people make up.
///
/// # Errors
/// The system gives no random bytes.
pub fn hash_generated_password(password: &str) -> Result<String, HashError> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|error| HashError(error.to_string()))?;
    Ok(format!(
        "$6${}${}",
        Base64::encode_string(&salt),
        Base64::encode_string(&salted_sha512(password.as_bytes(), &salt))
    ))
}

fn salted_sha512(password: &[u8], salt: &[u8]) -> [u8; 64] {
    let mut hasher = Sha512::new();
    hasher.update(password);
    hasher.update(salt);
    hasher.finalize().into()
}

/// Small letters and digits without those that look alike.
fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let (mut text, mut value, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes {
        value = value << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(value >> bits & 31) as usize]));
        }
    }
    text
}

/// A password can't be hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashError(String);

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the password can't be hashed: {}", self.0)
    }
}

impl std::error::Error for HashError {}

/// What follows `$argon2id$`: `v=19$m=8192,t=2,p=1$SALT$HASH`.
fn argon2(scheme: &str, text: &str) -> Result<Hash, &'static str> {
    const WRONG: &str = "the argon2 hash is malformed";
    let algorithm = Algorithm::new(scheme).map_err(|_| WRONG)?;
    let parts: Vec<_> = text.split('$').collect();
    let (version, [costs, salt, hash]) = match *parts {
        [costs, salt, hash] => (Version::V0x10, [costs, salt, hash]),
        ["v=19", costs, salt, hash] => (Version::V0x13, [costs, salt, hash]),
        ["v=16", costs, salt, hash] => (Version::V0x10, [costs, salt, hash]),
        _ => return Err(WRONG),
    };
    let (salt, hash) = (
        decode::<Base64Unpadded>(salt),
        decode::<Base64Unpadded>(hash),
    );
    let (salt, hash) = (salt.ok_or(WRONG)?, hash.ok_or(WRONG)?);
    let mut found = [None; 3];
    for cost in costs.split(',') {
        let (name, value) = cost.split_once('=').ok_or(WRONG)?;
        let place = ["m", "t", "p"].iter().position(|one| *one == name);
        let place = place.and_then(|at| found.get_mut(at)).ok_or(WRONG)?;
        *place = Some(value.parse::<u32>().map_err(|_| WRONG)?);
    }
    let [Some(memory), Some(passes), Some(lanes)] = found else {
        return Err(WRONG);
    };
    if memory > MAX_MEMORY || passes > MAX_PASSES || lanes > MAX_LANES {
        return Err(
            "the argon2 hash would take too much memory or time: m to 1048576, t to 64, \
                    p to 16",
        );
    }
    let params = Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| WRONG)?;
    Ok(Hash::Argon2 {
        algorithm,
        version,
        params,
        salt,
        hash,
    })
}

/// What follows `$7$`: `ITERATIONS$SALT$HASH`.
fn pbkdf2(text: &str) -> Result<Hash, &'static str> {
    const WRONG: &str = "the hash of Mosquitto ($7$) is malformed";
    let [iterations, salt, hash] = *text.split('$').collect::<Vec<_>>() else {
        return Err(WRONG);
    };
    let iterations = iterations.parse().map_err(|_| WRONG)?;
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err("the hash of Mosquitto ($7$) has 1 to 10000000 iterations");
    }
    Ok(Hash::Pbkdf2 {
        iterations,
        salt: decode::<Base64>(salt).ok_or(WRONG)?,
        hash: decode::<Base64>(hash)
            .filter(|hash| hash.len() == 64)
            .ok_or(WRONG)?,
    })
}

/// What follows `$6$`: `SALT$HASH`.
fn sha512(text: &str) -> Result<Hash, &'static str> {
    const WRONG: &str = "the hash of Mosquitto ($6$) is malformed";
    let (salt, hash) = text.split_once('$').ok_or(WRONG)?;
    Ok(Hash::Sha512 {
        salt: decode::<Base64>(salt).ok_or(WRONG)?,
        hash: decode::<Base64>(hash)
            .filter(|hash| hash.len() == 64)
            .ok_or(WRONG)?,
    })
}

fn decode<E: Encoding>(text: &str) -> Option<Box<[u8]>> {
    let bytes = E::decode_vec(text).ok()?;
    (!bytes.is_empty()).then(|| bytes.into_boxed_slice())
}

/// Kibibytes. With three passes one of the minima that OWASP names: no more, since all who have a
/// password come back at once after a restart.
const MEMORY: u32 = 12 * 1_024;
const PASSES: u32 = 3;
const SALT: usize = 16;
const LENGTH: usize = 32;
const MAX_MEMORY: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 16;
const MAX_ITERATIONS: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_own_password_only_and_never_the_same() {
        let text = hash_password(b"secret").expect("random bytes");
        let hash = Hash::parse(&text).expect("a hash").expect("a valid one");
        let mut memory = Memory::default();
        assert!(hash.is_of(b"secret", &mut memory));
        assert!(!hash.is_of(b"Secret", &mut memory) && !hash.is_of(b"", &mut memory));
        // What another hash left in the memory means nothing.
        let smaller = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo";
        let smaller = Hash::parse(smaller).expect("a hash").expect("a valid one");
        assert!(!smaller.is_of(b"secret", &mut memory));
        assert!(hash.is_of(b"secret", &mut memory));
        assert_ne!(hash_password(b"secret").expect("random bytes"), text);
    }

    #[test]
    fn generated_passwords_are_never_the_same_and_recognized_by_their_hash() {
        let password = generate_password().expect("random bytes");
        assert_eq!(password.len(), 32);
        assert_ne!(generate_password().expect("random bytes"), password);
        let text = hash_generated_password(&password).expect("random bytes");
        let hash = Hash::parse(&text).expect("a hash").expect("a valid one");
        assert!(hash.is_of(password.as_bytes(), &mut Memory::default()));
        assert!(!hash.is_of(b"other", &mut Memory::default()));
        assert_eq!(base32(&[0, 0x44, 0x32, 0x14, 0xc7]), "abcdefgh");
    }

    /// Made by Debian's `mosquitto_passwd` 2.0.11, with and without `-H sha512`.
    #[test]
    fn the_hashes_of_mosquitto_are_understood() {
        for text in MOSQUITTO {
            let hash = Hash::parse(text).expect("a hash").expect("a valid one");
            assert!(hash.is_of(b"p:w d", &mut Memory::default()), "{text}");
            assert!(!hash.is_of(b"p:w", &mut Memory::default()), "{text}");
        }
    }

    const MOSQUITTO: [&str; 2] = [
        "$6$sTz/fB7nwxgJSkyy$h8sQUuGUACdQOdY3Uqn4edI2+6BM9qEjBPd906e8erWA9Kj8U3zyDnWGzYuLHihaYTR+\
         cTeyyfpLVJeMlkfumQ==",
        "$7$101$D2HHQzlgSlZzjyf4$EIM9EdBaRz+dQU1+3OZykslJY+NYc/qXmqG+H2HwpcM6YbrSoTYs89XoHdKLz4dO\
         SfZhsN5H1Ua7xx4Wb+zMEQ==",
    ];

    #[test]
    fn what_looks_like_a_hash_and_is_none_is_an_error_and_no_password() {
        for text in [
            "$argon2id$v=19$m=8192,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=8192,t=2$c2FsdHNhbHQ$aGFzaA",
            "$argon2id$v=20$m=8192,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=8192000,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=8192,t=2,p=1$c2FsdHNhbHQ$*",
            "$7$0$c2FsdA==$aGFzaA==",
            "$7$101$c2FsdA==$aGFzaA==",
            "$6$c2FsdA==$aGFzaA==",
            "$2y$10$abc",
        ] {
            assert!(matches!(Hash::parse(text), Some(Err(_))), "{text}");
        }
        for text in ["secret", "$", "$secret", "$a b$c"] {
            assert!(Hash::parse(text).is_none(), "{text}");
        }
    }
}
