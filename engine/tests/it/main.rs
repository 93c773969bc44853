//! Stores in real directories: started within little memory; dumped, restored, damaged, checked and repaired.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where and why")]

mod bounded_replay;
mod checks;
mod diverged;
mod dumps;
mod fixture;
mod full_disk;
mod kills;
mod newest_fixtures;
mod store;
mod swaps;
