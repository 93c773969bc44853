//! The storage core as state machines without I/O: records, log, index, extents, expiry, recovery.
