//! LATENCY: how long commands take (HISTOGRAM), and when something took too long (the rest).

use std::fmt::Write as _;

use resp::Args;

use super::command::Command;
use super::context::ConnectionContext;
use super::integer::{count_i64, len_i64};
use super::lookup::lookup_full_name;
use super::{error_text, sparkline};
use crate::server::{LATENCY_BUCKETS, LatencySeries, WorkerSnapshot, bucket_upper_us};

const HELP: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
    "HELP",
    "    Print this help.",
];

/// LATENCY HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}

/// LATENCY LATEST
pub(super) fn latest(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let events = ctx.server.latency.all();
    ctx.reply.array(events.len());
    for (name, series) in &events {
        ctx.reply.array(4);
        ctx.reply.bulk(name.as_bytes());
        let (at_s, ms) = series.samples.back().map_or((0, 0), |last| (last.at_s, last.ms));
        for number in [at_s, ms, series.max_ms] {
            ctx.reply.integer(count_i64(number));
        }
    }
}

/// LATENCY HISTORY event
pub(super) fn history(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let samples = ctx.server.latency.of(args.at(2)).unwrap_or_default().samples;
    ctx.reply.array(samples.len());
    for sample in samples {
        ctx.reply.array(2);
        ctx.reply.integer(count_i64(sample.at_s));
        ctx.reply.integer(count_i64(sample.ms));
    }
}

/// LATENCY RESET [event ...]
pub(super) fn reset(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let names = args.tail(2);
    let picks = |event: &str| names.is_empty() || names.iter().any(|name| name == event.as_bytes());
    let count = ctx.server.latency.reset(picks);
    ctx.reply.integer(len_i64(count));
}

/// How long ago something was, as a label: `5s`, `3m`, `2h`, `1d`.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// LATENCY GRAPH event
pub(super) fn graph(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let event = args.at(2);
    let Some(series) = ctx.server.latency.of(event) else {
        let name = error_text::until_nul(event);
        return ctx.reply.error_parts(&[b"ERR No samples available for event '", name, b"'"]);
    };
    let now_s = ctx.now.0 / 1000;
    let times = || series.samples.iter().map(|sample| sample.ms);
    let (high, low) = (times().max().unwrap_or(0), times().min().unwrap_or(0));
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        String::from_utf8_lossy(event),
        series.max_ms,
        "-".repeat(sparkline::COLUMNS)
    );
    let samples: Vec<(u64, String)> =
        series.samples.iter().map(|one| (one.ms, age(now_s.saturating_sub(one.at_s)))).collect();
    sparkline::draw(&samples, &mut text);
    ctx.reply.verbatim("txt", text.as_bytes());
}

/// LATENCY DOCTOR
pub(super) fn doctor(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let events = ctx.server.latency.all();
    let threshold_ms = ctx.server.settings.latency_threshold_ms();
    let mut text = String::new();
    if threshold_ms == 0 {
        text.push_str(
            "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \
             \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep \
             space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n",
        );
    } else if events.is_empty() {
        text.push_str(
            "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. \
             I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n",
        );
    } else {
        text.push_str(
            "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you \
             Dave?\n\n",
        );
        let now_s = ctx.now.0 / 1000;
        for (number, (name, series)) in (1..).zip(&events) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{number}. {name}: {}", describe(series, now_s));
        }
        text.push_str(
            "\nI have a few advices for you:\n\n- Check your Slow Log to understand what are the commands you are \
             running which are too slow to execute. Please check https://redis.io/commands/slowlog for more \
             information.\n",
        );
        let slow_us = ctx.server.settings.slow_log_us();
        if slow_us < 0 || slow_us.unsigned_abs() > threshold_ms.saturating_mul(1000) {
            text.push_str(
                "- The Slow Log tells nothing of events that short: set slowlog-log-slower-than to no more than \
                 latency-monitor-threshold, in microseconds.\n",
            );
        }
    }
    ctx.reply.verbatim("txt", text.as_bytes());
}

/// Count, mean, mean deviation and period of an event's samples, in Redis's words.
fn describe(series: &LatencySeries, now_s: u64) -> String {
    let count = series.samples.len() as u64;
    let mean = series.samples.iter().map(|sample| sample.ms).sum::<u64>() / count.max(1);
    let deviation = series.samples.iter().map(|sample| sample.ms.abs_diff(mean)).sum::<u64>() / count.max(1);
    let since = series.samples.front().map_or(0, |first| now_s.saturating_sub(first.at_s)).max(1);
    let period = since as f64 / count.max(1) as f64;
    format!(
        "{count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period:.2} sec). Worst all time \
         event {}ms.",
        series.max_ms
    )
}

/// LATENCY HISTOGRAM [command ...]
pub(super) fn histogram(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let totals = ctx.server.totals();
    let asked: Vec<&Command> = if args.len() == 2 {
        super::table::COMMANDS.iter().collect()
    } else {
        let named = args.tail(2).iter().filter_map(lookup_full_name);
        // A container stands for its subcommands.
        named
            .flat_map(|command| match command.subcommands() {
                [] => std::slice::from_ref(command),
                all => all,
            })
            .collect()
    };
    let ran: Vec<&Command> =
        asked.into_iter().filter(|command| totals.command(command.id).calls > 0).collect();
    ctx.reply.map(ran.len());
    for command in ran {
        write_histogram(ctx, command, &totals);
    }
}

/// Calls of a command, and how many of them took no longer than each bound in microseconds.
fn write_histogram(ctx: &mut ConnectionContext<'_>, command: &Command, totals: &WorkerSnapshot) {
    let figures = totals.command(command.id);
    let mut steps = Vec::new();
    let mut sum = 0;
    for (bucket, count) in figures.latency.iter().enumerate().filter(|(_, count)| **count > 0) {
        sum += count;
        steps.push((bucket_upper_us(bucket).unwrap_or(1 << (LATENCY_BUCKETS - 1)), sum));
    }
    ctx.reply.bulk(command.name.as_bytes());
    ctx.reply.map(2);
    ctx.reply.bulk(b"calls");
    ctx.reply.integer(count_i64(figures.calls));
    ctx.reply.bulk(b"histogram_usec");
    ctx.reply.map(steps.len());
    for (bound_us, count) in steps {
        ctx.reply.integer(count_i64(bound_us));
        ctx.reply.integer(count_i64(count));
    }
}
