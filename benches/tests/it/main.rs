//! Black-box tests of the daemon that need a process of its own to kill.

mod kill_cycles;
