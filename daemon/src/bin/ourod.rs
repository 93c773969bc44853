//! The daemon's binary: options, logging, and [`daemon::run`].

use std::process::ExitCode;

/// Gives memory back when much of it is freed: glibc's keeps what lies below the last block in use (decision 0007).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    daemon::main_with(std::env::args_os()).into()
}
