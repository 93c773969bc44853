//! Who may do what: users, their passwords, commands, keys and channels, by the rules of Redis's ACL.
//!
//! [`registry::Acl`] holds the users of the server. A session keeps an [`Identity`]: the user it is logged in as and
//! what that user may do as it was last looked at; one load of a number tells whether that is still true, so that a
//! user who may do everything costs a command no more than this. Commands are checked where their connection lives,
//! before they are sent anywhere. Source of the rules: redis.io/docs/management/security/acl, and Redis's `acl.c`.

mod denial;
mod file;
mod identity;
mod log;
mod password;
mod registry;
mod rules;
mod selector;

mod user;

pub use denial::Denial;
pub use file::AclFileError;
pub use identity::Identity;
pub use log::{AclLog, LogEntry, LogReason};
pub use password::{GENERATED_BITS_DEFAULT, GENERATED_BITS_MAX, PasswordHash, generate};
pub use registry::{Acl, DEFAULT_USER, UserHandle};
pub use rules::RuleError;
pub use selector::{KeyAccess, Selector};
pub use user::User;

/// Whether a name is that of the user whom a connection is before it says otherwise.
#[must_use]
pub fn is_default(name: &[u8]) -> bool {
    name == DEFAULT_USER
}
