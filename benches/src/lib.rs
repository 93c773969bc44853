//! Benches of the parts and the side-by-side harness against other servers.
