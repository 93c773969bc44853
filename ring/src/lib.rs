//! A safe completion loop over io_uring: sockets, direct file I/O, buffers, timers, wake-ups.
