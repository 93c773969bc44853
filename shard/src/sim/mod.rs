//! The simulator: whole stores run in one thread over a disk that misbehaves by seed.
//!
//! The code under test is what serves clients: [`crate::shard_set::ShardSet`] with its [`crate::log::Log`], brought up
//! by [`crate::log::recovery::LogRecovery`]. Around it: a [`disk`] that reorders completions and loses, tears and
//! garbles what was not synced; a [`model`] that knows what was acknowledged and what replies revealed; [`boot`],
//! which brings a store up as the engine does; a [`driver`] that draws operations, crashes and faults and checks
//! after every crash that nothing acknowledged is lost, nothing is invented and nothing a reply revealed is undone,
//! or that the store refuses for a reason. A seed replays a run exactly.

pub mod bit_flips;
pub mod boot;
mod clock;
mod cold;
pub mod damage;
pub mod disk;
pub mod driver;
pub mod every_io;
pub mod fault;
mod file;
mod forgery;
mod gone;
mod histories;
mod invariants;
pub mod life;
mod life_steps;
mod memory_only;
pub mod model;
mod operations;
pub mod options;
mod plan;
pub mod refusals;
mod replies;
pub mod report;
pub mod rng;
pub mod scrubbing;
pub mod site;
mod starts;
mod stray_reads;
pub mod strike;
mod swaps;
mod truth;
