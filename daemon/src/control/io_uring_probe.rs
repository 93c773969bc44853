//! Whether this process may have a ring such as workers use: asked once at start, before anything is opened, so that
//! a refusal is one clear line and an exit code instead of a failure in the middle.

use ring::{Ring, RingConfig, RingError, SetupMode};

/// Makes a small ring and closes it again. Returns the mode that workers will have.
///
/// # Errors
/// The text says which of the reasons it is (kernel too old, switched off by sysctl, a container's filter, limits)
/// and what to do; [`super::ExitCode::from`] has the code to end with.
pub fn probe_io_uring() -> Result<SetupMode, RingError> {
    // As small as a ring can be that still has receive buffers, which need a kernel of their own.
    let smallest = RingConfig {
        entries: 8,
        cq_entries: 16,
        recv_buffer_count: 2,
        recv_buffer_bytes: 4096,
        ..RingConfig::default()
    };
    Ring::new(&smallest).map(|ring| ring.mode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_tells_what_a_ring_of_full_size_then_finds() {
        let probed = probe_io_uring().map_err(|error| error.to_string());
        let real =
            Ring::new(&RingConfig::default()).map(|ring| ring.mode()).map_err(|error| error.to_string());
        assert_eq!(probed, real);
    }
}
