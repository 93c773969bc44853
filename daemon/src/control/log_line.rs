//! One event, one line: `time level thread: message name=value ...`.
//!
//! Rule: whatever a message or a value holds, the line stays one line, prints no control character, and is at most
//! [`LOG_LINE_BYTES_MAX`] bytes long. Text of clients can so neither forge a line nor drive a terminal.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::limits::LOG_LINE_BYTES_MAX;

const CUT_MARK: &str = " [cut]";

/// The format of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLine;

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = BoundedLine::new();
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        let thread = std::thread::current();
        write!(line, " {} {}: ", level_name(*event.metadata().level()), thread.name().unwrap_or("-"))?;
        // The message comes first, wherever the caller put it.
        event.record(&mut Message(&mut line));
        event.record(&mut Values(&mut line));
        writer.write_str(line.finish())
    }
}

/// Redis's words for what it has, and ours for what it has not.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "notice",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

struct Message<'a>(&'a mut BoundedLine);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // The line takes what fits and never fails.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

struct Values<'a>(&'a mut BoundedLine);

impl Visit for Values<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=' && c != '\\';
        if field.name() == "message" {
        } else if !value.is_empty() && value.chars().all(plain) {
            let _ = write!(self.0, " {}={value}", field.name());
        } else {
            self.record_debug(field, &value);
        }
    }
}

/// Text that escapes what is not printable and stops growing at its bound.
struct BoundedLine {
    text: String,
    is_cut: bool,
}

impl BoundedLine {
    fn new() -> Self {
        Self { text: String::with_capacity(256), is_cut: false }
    }

    /// Adds it whole or not at all, and nothing after the first that had no room.
    fn push(&mut self, piece: &str) {
        let room = LOG_LINE_BYTES_MAX - CUT_MARK.len() - 1;
        self.is_cut |= self.text.len() + piece.len() > room;
        if !self.is_cut {
            self.text.push_str(piece);
        }
    }

    fn finish(&mut self) -> &str {
        if self.is_cut {
            self.text.push_str(CUT_MARK);
        }
        self.text.push('\n');
        assert!(self.text.len() <= LOG_LINE_BYTES_MAX, "a line of the log is bounded");
        &self.text
    }
}

impl fmt::Write for BoundedLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // U+2028 and U+2029 end lines too, for those who think so.
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                for escaped in c.escape_default() {
                    self.push(escaped.encode_utf8(&mut [0; 4]));
                }
            } else {
                self.push(c.encode_utf8(&mut [0; 4]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut line = BoundedLine::new();
        line.write_str(text).unwrap();
        line.finish().to_owned()
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(written("a\nb\r\x1b[31m\0"), "a\\nb\\r\\u{1b}[31m\\u{0}\n");
        assert_eq!(written("a\u{2028}b\u{85}"), "a\\u{2028}b\\u{85}\n");
        assert_eq!(written("größe 5"), "größe 5\n");
    }

    #[test]
    fn a_long_line_is_cut_at_its_bound_and_says_so() {
        for filler in ["x", "ü", "\n", "\u{10ffff}"] {
            let line = written(&filler.repeat(LOG_LINE_BYTES_MAX));
            assert!(
                line.len() <= LOG_LINE_BYTES_MAX && line.len() > LOG_LINE_BYTES_MAX - 32,
                "{}",
                line.len()
            );
            assert!(line.ends_with(" [cut]\n") && line.matches('\n').count() == 1);
        }
    }
}
