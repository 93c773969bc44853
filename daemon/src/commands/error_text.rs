//! Error texts of Redis, byte for byte, and the refusals that come before any handler.

use resp::{Args, ReplyWriter};

use super::command::Command;

/// Options that make no sense.
pub const SYNTAX: &str = "ERR syntax error";
/// What follows the command in the refusal of what a connection that is subscribed to something may not ask for.
pub const SUBSCRIBED: &str =
    "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
/// A number was wanted.
pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
/// A number was wanted, with or without a fraction.
pub const NOT_A_FLOAT: &str = "ERR value is not a valid float";
/// The sum is too large.
pub const INCREMENT_OVERFLOW: &str = "ERR increment or decrement would overflow";
/// The negated decrement is too large.
pub const DECREMENT_OVERFLOW: &str = "ERR decrement would overflow";
/// The sum is no number.
pub const INCREMENT_NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";
/// An offset below 0.
pub const OFFSET_RANGE: &str = "ERR offset is out of range";
/// A bit's offset that is none.
pub const BIT_OFFSET: &str = "ERR bit offset is not an integer or out of range";
/// A bit that is neither 0 nor 1.
pub const BIT_VALUE: &str = "ERR bit is not an integer or out of range";
/// A type of BITFIELD that does not exist.
pub const BITFIELD_TYPE: &str = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
                                 but i64 is.";
/// A value would be too long.
pub const VALUE_TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
/// A cursor that SCAN never gave.
pub const INVALID_CURSOR: &str = "ERR invalid cursor";
/// A number of at least 0 was wanted.
pub const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
/// A number that fits 32 bits was wanted.
pub const NOT_AN_INT: &str = "ERR value is out of range, value must between -2147483648 and 2147483647";
/// There is no such key.
pub const NO_SUCH_KEY: &str = "ERR no such key";
/// There is no client as it was asked for.
pub const NO_SUCH_CLIENT: &str = "ERR No such client";
/// There is no such database.
pub const DB_INDEX_RANGE: &str = "ERR DB index is out of range";
/// Keys of a command that must lie in one shard do not. Ours: Redis has no such limit outside its cluster.
pub const DIFFERENT_SHARDS: &str = "ERR keys lie on different shards: atomic writes over several shards are not \
                                    there yet; give the keys one {hash tag}";

/// Longest part of a refused request that is repeated in the error, in bytes.
const PREVIEW_BYTES_MAX: usize = 128;

/// A subcommand with a number of arguments that it never takes, where its arity alone does not say so.
pub(super) fn wrong_subcommand(reply: &mut ReplyWriter<'_>, args: Args<'_>) {
    let container = args.at(0).to_ascii_uppercase();
    let unknown: &[u8] = b"ERR unknown subcommand or wrong number of arguments for '";
    let name = preview(args.at(1), PREVIEW_BYTES_MAX);
    reply.error_parts(&[unknown, name, b"'. Try ", until_nul(&container), b" HELP."]);
}

/// The bytes of a C string: what `%s` prints of them, in Redis's errors.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|&byte| byte == 0).map_or(bytes, |end| &bytes[..end])
}

fn preview(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let shown = until_nul(bytes);
    &shown[..shown.len().min(bytes_max)]
}

/// No such command.
#[cold]
pub fn unknown_command(args: Args<'_>, reply: &mut ReplyWriter<'_>) {
    let mut list = Vec::new();
    for arg in args.tail(1).iter() {
        let Some(room) = PREVIEW_BYTES_MAX.checked_sub(list.len()).filter(|room| *room > 0) else { break };
        list.push(b'\'');
        list.extend_from_slice(preview(arg, room));
        list.extend_from_slice(b"' ");
    }
    let name = preview(args.at(0), PREVIEW_BYTES_MAX);
    reply.error_parts(&[b"ERR unknown command '", name, b"', with args beginning with: ", &list]);
}

/// No such subcommand.
#[cold]
pub fn unknown_subcommand(args: Args<'_>, reply: &mut ReplyWriter<'_>) {
    let name = preview(args.at(1), PREVIEW_BYTES_MAX);
    let container = args.at(0).to_ascii_uppercase();
    reply.error_parts(&[b"ERR unknown subcommand '", name, b"'. Try ", until_nul(&container), b" HELP."]);
}

/// Too many arguments, or too few.
#[cold]
pub fn wrong_arity(command: &Command, reply: &mut ReplyWriter<'_>) {
    reply.error_parts(&[b"ERR wrong number of arguments for '", command.name.as_bytes(), b"' command"]);
}

/// A time that cannot be.
#[cold]
pub fn invalid_expire_time(command: &str, reply: &mut ReplyWriter<'_>) {
    reply.error_parts(&[b"ERR invalid expire time in '", command.as_bytes(), b"' command"]);
}
