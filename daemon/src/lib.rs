//! ourod: a key-value daemon on io_uring that speaks RESP.
