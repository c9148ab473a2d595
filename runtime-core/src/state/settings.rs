//! What whoever opens a state directory decides for its containers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::StateRoot;

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) patience: Duration,
    pub(super) filters: Option<Arc<Path>>,
    pub(super) clock: fn() -> SystemTime,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { patience: Duration::from_secs(10), filters: None, clock: SystemTime::now }
    }
}

impl StateRoot {
    /// Has commands wait for no longer than this for another one at the same container, for processes to die or stand
    /// still, and for cgroups to become empty: each time, so that a command that does several of these may take a few
    /// times as long. Ten seconds without it. What a program or a hook takes is not counted.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        self.with(|settings| settings.patience = patience)
    }

    /// Keeps compiled system call filters in this directory, which is made if it is missing, instead of below the state
    /// directory: several of these can share one.
    #[must_use]
    pub fn with_filter_cache(self, directory: impl Into<PathBuf>) -> Self {
        self.with(|settings| settings.filters = Some(directory.into().into()))
    }

    /// Takes the times that are written down, for people, from this clock.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> SystemTime) -> Self {
        self.with(|settings| settings.clock = clock)
    }

    /// How long commands wait.
    pub fn patience(&self) -> Duration {
        self.settings().patience
    }

    /// The time in UTC, as in `2030-01-31T23:59:59.123456789Z`: for people to read, not to measure with.
    pub(crate) fn timestamp(&self) -> String {
        humantime::format_rfc3339_nanos((self.settings().clock)()).to_string()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(self.settings_mut());
        self
    }
}
