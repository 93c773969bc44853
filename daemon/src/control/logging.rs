//! The log: one line an event, to stderr, at a level that may change while the daemon runs.
//!
//! The level is asked for at each event, so CONFIG SET loglevel counts from the next one on; an event that is not
//! wanted costs that question. Nothing is logged per command.

use std::io;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::DynFilterFn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_line::LogLine;
use crate::options::LogLevel;

/// What a level of Redis's lets through. Below `notice` there is one level: all that is not for developers of the
/// parts alone.
#[must_use]
pub const fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug | LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
    }
}

/// From now on all threads log to stderr what `level` lets through; it is asked at each event and must be quick.
/// `move || server.settings.log_level()` is what it is in the daemon. Later calls change nothing.
pub fn log_to_stderr(level: impl Fn() -> LogLevel + Send + Sync + 'static) {
    // It fails only when a log was set up before; then that one is it.
    let _ = subscriber(level, io::stderr).try_init();
}

fn subscriber<W>(
    level: impl Fn() -> LogLevel + Send + Sync + 'static,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = DynFilterFn::new(move |metadata, _| metadata.level() <= &level_filter(level()))
        .with_max_level_hint(LevelFilter::DEBUG);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(LogLine)
        .with_ansi(false)
        .with_writer(writer)
        // A log that cannot be written is no reason to stop, and the complaint would go to the same place.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, trace, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    /// Runs `events` under a log whose level they may change; gives what was logged.
    fn logged(level: LogLevel, events: impl FnOnce(&dyn Fn(LogLevel))) -> String {
        let (sink, current) = (Sink::default(), Arc::new(AtomicU8::new(level as u8)));
        let (writer, asked) = (sink.clone(), Arc::clone(&current));
        let subscriber =
            subscriber(move || LogLevel::from_number(asked.load(Ordering::Relaxed)), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            events(&|level| current.store(level as u8, Ordering::Relaxed));
        });
        sink.take()
    }

    fn one_of_each() {
        error!("e");
        warn!("w");
        info!("i");
        debug!("d");
        trace!("t");
    }

    #[test]
    fn levels_let_through_what_redis_would() {
        for (level, lines) in
            [(LogLevel::Warning, 2), (LogLevel::Notice, 3), (LogLevel::Verbose, 4), (LogLevel::Debug, 4)]
        {
            assert_eq!(logged(level, |_| one_of_each()).lines().count(), lines, "{level}");
        }
    }

    #[test]
    fn a_change_of_level_counts_from_the_next_event_on() {
        let text = logged(LogLevel::Warning, |set_level| {
            for (level, text) in
                [(LogLevel::Debug, "heard"), (LogLevel::Warning, "lost"), (LogLevel::Verbose, "too")]
            {
                set_level(level);
                debug!("{text}");
            }
        });
        assert!(text.contains("heard") && text.contains("too") && !text.contains("lost"), "{text}");
    }

    #[test]
    fn a_line_is_time_level_thread_message_and_values() {
        let text = logged(LogLevel::Notice, |_| {
            let path = "a b";
            info!(worker = 3, name = "plain", path, error = %io::Error::other("no\nway"), "log {}", "opened");
        });
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.len() == "2026-01-01T00:00:00.000000Z".len() && time.ends_with('Z'), "{time}");
        let (level, rest) = rest.split_once(' ').unwrap();
        let (_, rest) = rest.split_once(": ").unwrap();
        assert_eq!(level, "notice");
        assert_eq!(rest, "log opened worker=3 name=plain path=\"a b\" error=no\\nway\n");
    }

    #[test]
    fn text_of_a_client_cannot_forge_a_line() {
        let text = logged(LogLevel::Notice, |_| {
            let name = "x\n2026-01-01T00:00:00.000000Z warning main: all is lost";
            info!(name, "client {name}");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
