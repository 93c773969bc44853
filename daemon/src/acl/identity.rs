//! Who a session is, and what that user may do as it was last looked at.

use std::sync::Arc;

use resp::Args;

use super::denial::Denial;
use super::registry::UserHandle;
use super::user::User;
use crate::commands::Command;

/// Who a session is.
#[derive(Clone, Debug)]
pub struct Identity {
    handle: Arc<UserHandle>,
    user: Arc<User>,
    version: u64,
    logged_in: bool,
    /// It logged in with a name.
    has_password: bool,
    /// Logged in, and nothing is refused.
    is_free: bool,
}

impl Identity {
    /// A session that has not said who it is: the user `default`, logged in when that needs no password.
    #[must_use]
    pub fn new(default: Arc<UserHandle>) -> Self {
        let (user, version) = default.read();
        let logged_in = user.is_enabled() && user.needs_no_password();
        let is_free = logged_in && user.may_do_everything();
        Self { handle: default, user, version, logged_in, has_password: false, is_free }
    }

    /// Logs in as a user whose password was right.
    pub fn log_in(&mut self, handle: Arc<UserHandle>) {
        (self.user, self.version) = handle.read();
        self.handle = handle;
        (self.logged_in, self.has_password) = (true, true);
        self.is_free = self.user.may_do_everything();
    }

    /// Name of the user.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.handle.name()
    }

    /// Whether the user has been deleted since: such a session is closed.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.handle.is_deleted()
    }

    /// Whether every request may run: known without a look at it.
    #[must_use]
    #[inline]
    pub fn is_free(&mut self) -> bool {
        if self.handle.version() != self.version {
            self.refresh();
        }
        self.is_free
    }

    #[cold]
    fn refresh(&mut self) {
        (self.user, self.version) = self.handle.read();
        if self.handle.is_deleted() {
            // Its connection is closed at the next sweep; until then it is nobody.
            (self.logged_in, self.is_free) = (false, false);
            return;
        }
        // Who never logged in is `default`, and may go on when that needs no password any more.
        self.logged_in |= self.user.is_enabled() && self.user.needs_no_password() && !self.has_password;
        self.is_free = self.logged_in && self.user.may_do_everything();
    }

    /// Whether it has logged in.
    #[must_use]
    pub const fn is_logged_in(&self) -> bool {
        self.logged_in
    }

    /// Whether a request may run.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn check(&mut self, command: &Command, args: Args<'_>) -> Result<(), Denial> {
        if self.handle.version() != self.version {
            self.refresh();
        }
        self.user.check(command, args)
    }

    /// Number of the user's last change.
    #[must_use]
    #[inline]
    pub fn current_version(&self) -> u64 {
        self.handle.version()
    }

    /// Number of the change of the user that the last look at it saw.
    #[must_use]
    pub const fn known_version(&self) -> u64 {
        self.version
    }

    /// What the user may do now, and the number of the change that this knows of.
    pub fn current_user(&mut self) -> (&User, u64) {
        if self.handle.version() != self.version {
            self.refresh();
        }
        (&self.user, self.version)
    }

    /// What the user may do, as it was last looked at.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }
}
