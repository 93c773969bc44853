//! All users of the server. Changed rarely, by ACL commands; read by a session when it logs in and after a change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use resp::Args;

use super::denial::Denial;
use super::log::AclLog;
use super::rules::{self, RuleError};
use super::user::User;
use crate::commands::Command;

/// Name of the user that a connection is before it says otherwise.
pub const DEFAULT_USER: &[u8] = b"default";

/// A user with what they may do now. Sessions hold it: a change reaches them all.
#[derive(Debug)]
pub struct UserHandle {
    name: Box<[u8]>,
    state: RwLock<Arc<User>>,
    version: AtomicU64,
    deleted: AtomicBool,
}

impl UserHandle {
    fn new(name: &[u8], user: User) -> Self {
        Self {
            name: name.into(),
            state: RwLock::new(Arc::new(user)),
            version: AtomicU64::new(0),
            deleted: AtomicBool::new(false),
        }
    }

    /// Their name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Number of changes so far.
    #[must_use]
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether there is no such user any more.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// What they may do, and the number of changes that this knows of.
    #[must_use]
    pub fn read(&self) -> (Arc<User>, u64) {
        // The number first: a change in between is then noticed at the next look.
        let version = self.version();
        (Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner)), version)
    }

    fn replace(&self, user: User) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(user);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// All users of the server.
#[derive(Debug)]
pub struct Acl {
    users: Mutex<BTreeMap<Vec<u8>, Arc<UserHandle>>>,
    default: Arc<UserHandle>,
    /// Number of times users were deleted: sessions of deleted users are looked for after a change.
    deletions: AtomicU64,
    log: Mutex<AclLog>,
    required: Mutex<String>,
    /// Held while the users are written to a file.
    pub(super) saving: Mutex<()>,
    /// Whether a user who is made may use all channels.
    all_channels: AtomicBool,
}

impl Default for Acl {
    fn default() -> Self {
        let default = Arc::new(UserHandle::new(DEFAULT_USER, User::everybody()));
        Self {
            users: Mutex::new(BTreeMap::from([(DEFAULT_USER.to_vec(), Arc::clone(&default))])),
            default,
            deletions: AtomicU64::new(0),
            log: Mutex::new(AclLog::default()),
            required: Mutex::default(),
            saving: Mutex::default(),
            all_channels: AtomicBool::new(false),
        }
    }
}

impl Acl {
    /// The user `default` alone, who may do everything; users who are made later may use all channels, or none.
    #[must_use]
    pub fn new(new_users_have_all_channels: bool) -> Self {
        let acl = Self::default();
        acl.set_new_users_have_all_channels(new_users_have_all_channels);
        acl
    }

    /// Whether a user who is made may use all channels unless the rules say otherwise.
    #[must_use]
    pub fn new_users_have_all_channels(&self) -> bool {
        self.all_channels.load(Ordering::Relaxed)
    }

    /// Changes it.
    pub fn set_new_users_have_all_channels(&self, all: bool) {
        self.all_channels.store(all, Ordering::Relaxed);
    }

    fn users(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vec<u8>, Arc<UserHandle>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user that a connection is before it says otherwise.
    #[must_use]
    pub fn default_user(&self) -> Arc<UserHandle> {
        Arc::clone(&self.default)
    }

    /// The user of a name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<Arc<UserHandle>> {
        self.users().get(name).cloned()
    }

    /// All users, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<UserHandle>> {
        self.users().values().cloned().collect()
    }

    /// The user, if that is their name and one of their passwords.
    #[must_use]
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<UserHandle>> {
        let handle = self.find(name);
        // A name that does not exist costs as much as one that does.
        let nobody = User::default();
        let accepted = match &handle {
            Some(handle) => handle.read().0.accepts(password),
            None => nobody.accepts(password),
        };
        handle.filter(|_| accepted)
    }

    /// Applies rules to a user, who is made when they do not exist: all of them, or none.
    ///
    /// # Errors
    /// The rule that is refused, and why.
    pub fn set_user<'a>(
        &self,
        name: &[u8],
        words: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), (Vec<u8>, RuleError)> {
        let rules = rules::join_selectors(words).map_err(|word| (word, RuleError::Unmatched))?;
        let all_channels = self.new_users_have_all_channels();
        let mut users = self.users();
        let fresh = || User::nobody(all_channels);
        let mut user = users.get(name).map_or_else(fresh, |handle| (*handle.read().0).clone());
        for rule in rules {
            rules::apply(&mut user, &rule, all_channels).map_err(|why| (rule, why))?;
        }
        match users.get(name) {
            Some(handle) => handle.replace(user),
            None => {
                users.insert(name.to_vec(), Arc::new(UserHandle::new(name, user)));
            }
        }
        Ok(())
    }

    /// Gives `default` a password, or none when it is empty: `requirepass`.
    pub fn require_password(&self, password: &str) {
        // No other change of `default` may come in between.
        let _users = self.users();
        let mut required = self.required.lock().unwrap_or_else(PoisonError::into_inner);
        let mut user = (*self.default.read().0).clone();
        let rule = format!(">{password}");
        let rules = if password.is_empty() { ["resetpass", "nopass"] } else { ["resetpass", &rule] };
        for rule in rules {
            let done = rules::apply(&mut user, rule.as_bytes(), false);
            assert!(done.is_ok(), "a password is a rule");
        }
        self.default.replace(user);
        password.clone_into(&mut required);
    }

    /// The password that [`Self::require_password`] was last given; users' passwords are known by their hashes only.
    #[must_use]
    pub fn required_password(&self) -> String {
        self.required.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Deletes a user, whose sessions are closed. False when there is none. `default` stays: ask before.
    pub fn delete_user(&self, name: &[u8]) -> bool {
        assert!(name != DEFAULT_USER, "the default user cannot be deleted");
        let Some(handle) = self.users().remove(name) else { return false };
        handle.delete();
        self.deletions.fetch_add(1, Ordering::AcqRel);
        true
    }

    /// Puts these users in the place of all there are. Sessions of users who are gone or not the same are closed,
    /// but for those of `default`.
    pub(super) fn replace_all(&self, fresh: BTreeMap<Vec<u8>, User>) {
        let mut users = self.users();
        let mut next = BTreeMap::from([(DEFAULT_USER.to_vec(), Arc::clone(&self.default))]);
        let default = fresh.get(DEFAULT_USER).cloned().unwrap_or_else(User::everybody);
        self.default.replace(default);
        for (name, user) in fresh.into_iter().filter(|(name, _)| name != DEFAULT_USER) {
            let same = users.get(&name).filter(|handle| *handle.read().0 == user).cloned();
            let handle = same.unwrap_or_else(|| Arc::new(UserHandle::new(&name, user)));
            next.insert(name, handle);
        }
        for (name, handle) in &*users {
            if !next.get(name).is_some_and(|kept| Arc::ptr_eq(kept, handle)) {
                handle.delete();
            }
        }
        *users = next;
        self.deletions.fetch_add(1, Ordering::AcqRel);
    }

    /// Number of times users were deleted.
    #[must_use]
    #[inline]
    pub fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::Acquire)
    }

    /// Whether `default` may log in without a password.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let (default, _) = self.default.read();
        default.is_enabled() && default.needs_no_password()
    }

    /// What a user would be told of a request.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn dry_run(&self, user: &UserHandle, command: &Command, args: Args<'_>) -> Result<(), Denial> {
        user.read().0.check(command, args)
    }

    /// The log of refusals.
    pub fn log(&self) -> std::sync::MutexGuard<'_, AclLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
