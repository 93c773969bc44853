//! The answer of a HELP subcommand: lines of text.

use resp::ReplyWriter;

/// Writes the lines as Redis does: an array of simple strings.
pub(super) fn write(reply: &mut ReplyWriter<'_>, lines: &[&str]) {
    reply.array(lines.len());
    for line in lines {
        reply.simple(line);
    }
}
