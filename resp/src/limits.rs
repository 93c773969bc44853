//! Every bound of this crate: what a peer may claim, and what a parser keeps between two messages.

/// Longest line without an end: an inline command, or a `*` or `$` line. Redis: `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one request. Redis allows 2^31 - 1; ours is stricter, and INT_MAX claims are refused at once.
pub const ARGS_MAX: usize = 1_048_576;
/// Longest argument. Redis: the default of `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most arguments of a request before the client has authenticated. As Redis.
pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;
/// Longest argument before the client has authenticated. As Redis.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16_384;

/// Most argument ranges reserved on a client's word, and kept when a request is done (16 bytes each).
pub const RETAINED_RANGES_MAX: usize = 1024;
/// Most bytes of unescaped inline arguments kept when a request is done.
pub const RETAINED_INLINE_BYTES_MAX: usize = 4096;

/// Longest line of a reply: a simple string, an error, a number.
pub const REPLY_LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest bulk string of a reply.
pub const REPLY_BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most elements of one aggregate of a reply (of a map: pairs). As in Redis clients.
pub const REPLY_ELEMENTS_MAX: u64 = u32::MAX as u64;
/// Deepest nesting of aggregates in a reply. Servers need fewer than ten; clients without a bound have crashed on
/// hostile ones (hiredis#1336, libvalkey#336, redis-py#4116).
pub const REPLY_DEPTH_MAX: usize = 1024;

// A request before authentication is held to the tighter of two bounds, so it must be the tighter one.
const _: () = assert!(UNAUTHENTICATED_ARGS_MAX < ARGS_MAX);
const _: () = assert!(UNAUTHENTICATED_BULK_BYTES_MAX < BULK_BYTES_MAX);

/// Limits of one connection. They are read when a length is parsed, so a change holds from the next length on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Longest line without an end, in bytes.
    pub inline_bytes_max: usize,
    /// Most arguments of one request.
    pub args_max: usize,
    /// Longest argument, in bytes.
    pub bulk_bytes_max: usize,
    /// False while the client has yet to log in: then at most [`UNAUTHENTICATED_ARGS_MAX`] arguments of at most
    /// [`UNAUTHENTICATED_BULK_BYTES_MAX`] bytes, with error texts of their own.
    pub authenticated: bool,
}

impl RequestLimits {
    /// The limits of a client that is logged in, or of a server that asks for no password.
    pub const AUTHENTICATED: Self = Self {
        inline_bytes_max: INLINE_BYTES_MAX,
        args_max: ARGS_MAX,
        bulk_bytes_max: BULK_BYTES_MAX,
        authenticated: true,
    };
    /// The limits of a client that has yet to log in.
    pub const UNAUTHENTICATED: Self = Self { authenticated: false, ..Self::AUTHENTICATED };
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self::AUTHENTICATED
    }
}
