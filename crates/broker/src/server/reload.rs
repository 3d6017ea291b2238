//! Files that are read again while the broker runs: all of them, or, if one is broken, none.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::info;

#[cfg(feature = "tls")]
use super::front::tls::{self, Tls};
use super::{Handle, Stopped};
use crate::{Access, Config, InvalidRights, InvalidUsers, Rights, SourceError, Users};

/// The files.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// One reads them at a time.
    turn: Mutex<()>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<(crate::Tls, Arc<Tls>)>,
    users: Option<PathBuf>,
    rights: Option<PathBuf>,
}

/// Why the files are not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadError {
    /// A file can't be used; the broker goes on with what it had.
    Source(SourceError),
    /// The broker does not run any more.
    Stopped,
}

impl Sources {
    /// Reads the files for the first time.
    pub(super) fn load(config: &Config) -> Result<Self, SourceError> {
        Ok(Self {
            turn: Mutex::new(()),
            #[cfg(feature = "tls")]
            tls: match &config.tls {
                Some(settings) => {
                    Some((settings.clone(), Arc::new(Tls::new(tls::load(settings)?))))
                }
                None => None,
            },
            users: match &config.access {
                Access::File { path, .. } => Some(path.clone()),
                Access::Anonymous | Access::Passwords(_) => None,
            },
            rights: config.rights.clone(),
        })
    }

    /// Whether there is any file to read again.
    pub(super) fn is_empty(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        self.users.is_none() && self.rights.is_none()
    }

    pub(super) fn users(&self) -> Result<Option<Users>, SourceError> {
        let Some(path) = &self.users else {
            return Ok(None);
        };
        let invalid = |error: InvalidUsers| {
            SourceError::at(path, error.line(), error.column(), error.cause())
        };
        Users::parse(&read(path)?).map(Some).map_err(invalid)
    }

    pub(super) fn rights(&self) -> Result<Option<Arc<Rights>>, SourceError> {
        let Some(path) = &self.rights else {
            return Ok(None);
        };
        let invalid = |error: InvalidRights| {
            SourceError::at(path, error.line(), error.column(), error.cause())
        };
        let rights = Rights::parse(&read(path)?).map_err(invalid)?;
        Ok(Some(Arc::new(rights)))
    }
}

fn read(path: &Path) -> Result<String, SourceError> {
    let bytes = fs::read(path).map_err(|error| SourceError::new(path, error))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let before = String::from_utf8_lossy(before);
            let line = before.matches('\n').count() + 1;
            let column = before
                .rsplit('\n')
                .next()
                .map_or(0, |last| last.chars().count())
                + 1;
            Err(SourceError::at(path, line, column, "it is not UTF-8 text"))
        }
    }
}

impl Handle {
    /// Whether the configuration names files that [`Self::reload`] reads again.
    pub fn can_reload(&self) -> bool {
        !self.sources().is_empty()
    }

    /// Reads certificates, users and rights again. Nobody is disconnected: certificates count for
    /// new connections, users when they connect again, rights at once.
    ///
    /// Without any such file it does nothing.
    ///
    /// Reads in the thread that calls it, not in the one that runs the broker.
    ///
    /// # Errors
    /// A file is missing or broken: the error says which, and where in it. Then all stays as it
    /// was.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let sources = self.sources();
        let _turn = sources.turn.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "tls")]
        let tls = match &sources.tls {
            Some((settings, tls)) => Some((tls, tls::load(settings)?)),
            None => None,
        };
        let (users, rights) = (sources.users()?, sources.rights()?);
        // All are in order.
        #[cfg(feature = "tls")]
        if let Some((tls, config)) = tls {
            tls.install(config);
        }
        self.ask(move |broker, now| {
            if let Some(users) = users {
                broker.set_users(users, now);
            }
            if rights.is_some() {
                broker.engine.set_rights(rights);
            }
            info!("certificates, users and rights were read again");
        })?;
        Ok(())
    }
}

impl From<SourceError> for ReloadError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<Stopped> for ReloadError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Stopped => Stopped.fmt(f),
        }
    }
}

impl std::error::Error for ReloadError {}
