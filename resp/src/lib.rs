//! RESP2 and RESP3 bytes: requests and replies, parsed and written. No I/O.
