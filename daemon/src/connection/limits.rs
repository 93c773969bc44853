//! Every bound of the connection layer, in one place. What operators may set is in `Settings`.

/// Commands that one connection runs in one turn at most, however many pieces they come in: a burst of one client may not
/// starve the others.
pub(crate) const COMMANDS_PER_TURN: usize = 1024;
/// Unparsed bytes of one connection above which no more are received from it until some are parsed, unless they
/// are one large request under way: that is bounded by `client-query-buffer-limit`.
pub(crate) const BACKLOG_BYTES_MAX: usize = 64 << 10;
/// Unsent bytes of one connection above which its commands wait until some are sent.
pub(crate) const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// Replies of one connection that wait for other workers at most; above it its commands wait.
pub(crate) const REPLY_SLOTS_MAX: usize = 16 << 10;
/// How long tries of requests that could not run may take in a turn, before they rest.
pub(crate) const STALL_TRY_NS: u64 = 250_000;
/// How many times as long they rest then.
pub(crate) const STALL_REST: u64 = 7;
/// And how long at most: disk space that was taken for a request is given back if that does not come for it in time.
pub(crate) const STALL_REST_NS_MAX: u64 = 100_000_000;
/// Bytes of log not yet submitted above which writes wait: what the drive cannot take now is not read.
pub(crate) const LOG_QUEUE_BYTES_MAX: usize = 32 << 20;
/// Bytes of arguments up to which a request is small.
pub(crate) const SMALL_REQUEST_BYTES: usize = 4 << 10;
/// Bytes of requests under way from one worker to another above which further ones wait: what that worker cannot
/// take now is not read.
pub(crate) const REMOTE_BYTES_MAX: usize = 16 << 20;
/// The same for writes: they may wait for the drive there, and what is above this is left to reads.
pub(crate) const REMOTE_WRITE_BYTES_MAX: usize = REMOTE_BYTES_MAX / 4 * 3;
/// Answers of another worker that writes leave to reads in the same way.
pub(crate) const READ_CREDITS: usize = 1024;
/// How large a reply of another worker is taken to be before the connection has had one. What is asked for and not
/// yet answered counts as unsent by this, so that replies that turn out large do not all come at once.
pub(crate) const REPLY_BYTES_GUESS: usize = 64 << 10;
/// The least that a read's reply is taken to be: it bounds what comes when small values are followed by large ones.
pub(crate) const READ_BYTES_GUESS_MIN: usize = 4 << 10;
/// The least that a write's reply is taken to be.
pub(crate) const WRITE_BYTES_GUESS_MIN: usize = 64;
/// Bytes of replies, [`SMALL_REPLY_BYTES`] or smaller ones not counted, that a worker makes for a connection of another
/// one before it waits to be asked for more. With it a connection that reads nothing costs, for each other worker, no
/// more than this and one reply of full size, beside [`OUTPUT_PAUSE_BYTES`] and one reply of its own worker, and small
/// replies of up to [`REPLY_SLOTS_MAX`] times [`SMALL_REPLY_BYTES`].
pub(crate) const REMOTE_REPLY_BYTES: usize = 256 << 10;
/// Replies that are not counted: [`REPLY_SLOTS_MAX`] bounds them.
pub(crate) const SMALL_REPLY_BYTES: usize = 128;
/// Commands of one worker's connections whose keys lie on several workers, under way at one time at most. As many
/// answers of each other worker are set aside for them, so that what holds keys never waits for what waits for them.
pub(crate) const ERRANDS_MAX: usize = 64;
/// Answers of each other worker that are set aside for what is published: it goes on when the commands under way there do
/// not, so that workers which publish to each other never wait for each other.
pub(crate) const PUBLISH_CREDITS: usize = 1024;
/// Bytes of messages that wait to be published, for the log or for another worker, above which the commands of this
/// worker's connections wait.
pub(crate) const PUBLISH_BYTES_MAX: usize = 16 << 20;
/// The same, in messages.
pub(crate) const PUBLISH_COUNT_MAX: usize = 16 << 10;
/// Bytes from which on a message's body is not copied for each of those who get it: below, a reference costs as much.
pub(crate) const SHARED_BYTES_MIN: usize = 64;
/// Bytes sent at one time where shared messages are among them: they are copied together for it.
pub(crate) const SEND_BYTES_MAX: usize = 256 << 10;
/// Subscriptions of one client that begin or end in one turn; more of them take several turns.
pub(crate) const SUBSCRIPTIONS_PER_TURN: usize = 256;
/// Deferred commands that a connection asks another worker for at one time.
pub(crate) const ASKED_MAX: usize = 64;
/// Bytes of one message to another worker above which it is sent on before the end of the turn; bytes of replies to
/// one worker above which the rest of its requests wait for the next turn.
pub(crate) const MESSAGE_BYTES: usize = 1 << 20;
/// Receive buffers of one worker, shared by its connections: as many as the kernel may fill between two turns.
pub(crate) const RECV_BUFFERS: u16 = 512;
/// Bytes of each of them.
pub(crate) const RECV_BUFFER_BYTES: u32 = 16 << 10;
/// Bytes of memory that a worker comes to take however little it holds: its receive buffers, and those for batches of its log.
pub(crate) const WORKER_BYTES: u64 =
    RECV_BUFFERS as u64 * RECV_BUFFER_BYTES as u64 + engine::limits::BATCH_BUFFER_COUNT as u64 * (256 << 10);
/// Buffers up to this size are kept for reuse.
pub(crate) const KEPT_BUFFER_BYTES: usize = 64 << 10;
/// Bytes of buffers kept for reuse by one worker at most.
pub(crate) const KEPT_BUFFERS_BYTES_MAX: usize = 2 << 20;
/// Bytes of messages between workers kept for reuse by one worker at most: so many of requests, and as many of replies.
pub(crate) const KEPT_MESSAGES_BYTES_MAX: usize = 2 << 20;
/// How often idle, slow and half-sent connections are looked for, in nanoseconds.
pub(crate) const SWEEP_NS: u64 = 1_000_000_000;
/// Connections looked at in one turn: each costs some cache misses, and a reply waits for the turn's end.
pub(crate) const SWEEP_CONNECTIONS: usize = 64;
/// How long accepting rests when the process is out of descriptors, in nanoseconds.
pub(crate) const ACCEPT_REST_NS: u64 = 100_000_000;
/// How often it is said that accepting rests, in nanoseconds.
pub(crate) const ACCEPT_WARNING_NS: u64 = 10_000_000_000;
/// How often a worker that is drained looks whether the others are, in nanoseconds.
pub(crate) const DRAIN_POLL_NS: u64 = 5_000_000;
/// Bytes of memory of the keys of one worker that clients have read and cache, about; beyond it keys are forgotten and
/// their readers told, whatever `tracking-table-max-keys` allows.
pub(crate) const TRACKED_BYTES_MAX: usize = 256 << 20;
/// Keys that are forgotten for one that is read, at most, while too many are remembered.
pub(crate) const FORGOTTEN_PER_READ_MAX: usize = 16;
/// Threshold of the slow log below which every command has clock readings of its own, in nanoseconds: above it a command
/// on a key or two reaches it only by what it moves, and is found otherwise (`slow`).
pub(crate) const CLOCK_ALL_BELOW_NS: u64 = 1_000_000;
/// How long every command has them after a run of several took long, in nanoseconds.
pub(crate) const CLOCK_ALL_NS: u64 = 1_000_000_000;
/// How often figures that take a look at every shard are collected, in nanoseconds.
pub(crate) const FIGURES_NS: u64 = 100_000_000;
/// Turns from one publication of a worker's figures to the next at most.
pub(crate) const PUBLISH_TURNS: u64 = 64;
/// How long a client that has to log in may take, in nanoseconds.
pub(crate) const LOGIN_NS_MAX: u64 = 10_000_000_000;
/// TLS handshakes of one worker that are under way at one time at most: further TLS connections are closed at once. With
/// it strangers hold no more than so many times what rustls keeps of a handshake, 64 KiB and a record.
pub(crate) const HANDSHAKES_MAX: usize = 512;
/// TLS connections of one worker whose handshake goes on in one turn, of those that have waited for it at most, and as many
/// that have not: a step of it takes up to some milliseconds of the processor, and others are to be served in between.
pub(crate) const HANDSHAKES_PER_TURN: usize = 8;
/// How long a TLS handshake may take, in nanoseconds.
pub(crate) const HANDSHAKE_NS_MAX: u64 = 10_000_000_000;
