//! Files that are read again while the broker runs: all of them, or, if one is broken, none.

use std::fmt;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "tls")]
use super::front::tls::{self, Tls};
use super::{Handle, Stopped};
use crate::{Config, SourceError};

/// The files.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// One reads them at a time.
    turn: Mutex<()>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<(crate::Tls, Arc<Tls>)>,
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
    #[cfg_attr(not(feature = "tls"), allow(unused_variables))]
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
        })
    }
}

impl Handle {
    /// Reads certificates, users and rights again. Nobody is disconnected: certificates count for
    /// new connections, users when they connect again, rights at once.
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
        #[cfg(feature = "tls")]
        if let Some((tls, config)) = tls {
            tls.install(config);
        }
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
