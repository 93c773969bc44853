//! Tests that say whether two groups of runs differ, and by how much. Pure functions over numbers.
//!
//! All tests are exact: they count every way in which the same figures could have been dealt out, and assume no
//! distribution. The unit is the run, never the request: requests of one run depend on each other, and with millions of
//! them any two runs "differ".

pub mod binomial;
pub mod estimate;
pub mod holm;
pub mod rank_sum;
pub mod ranks;
pub mod signed_rank;
pub mod splits;
