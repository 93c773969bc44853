//! The offline tools over real directories: dumped, restored, damaged, checked and repaired.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where and why")]

mod checks;
mod dumps;
mod fixture;
mod store;
