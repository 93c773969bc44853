//! The core as a whole: what its users rely on, and what the simulator promises.

mod bit_flips;
mod every_io;
mod full_disk;
mod simulator;
