//! The command lines of the tools.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::options::parse_size;

/// What is done to a store that no daemon has open.
#[derive(Debug, Parser)]
#[command(name = "ourod", version, max_term_width = 100, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) tool: Tool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tool {
    Check(Check),
    Repair(Repair),
    Dump(Dump),
    Restore(Restore),
}

/// Check a store that no daemon has open: every file, every checksum, every record; changes nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 intact; 3 something is worth saying, nothing is lost; 4 damaged: a start refuses, or \
keys are lost;\n64 wrong arguments; 74 cannot be read; 75 a daemon has the directory.\n\nExamples:\n  ourod check \
/var/lib/ouro\n  ourod check /var/lib/ouro --json | jq -r '.problems[].name'"
)]
pub(super) struct Check {
    /// The store's directory
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Name every lost key that can still be read
    #[arg(long)]
    pub(super) list_keys: bool,
    /// Memory that recovering the log may take (the last step); beyond it, that step is left out and noted; 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub(super) maxmemory: u64,
}

/// Repair what check named, and no more; keeps copies of every file that it changes
#[derive(Debug, Args)]
#[command(
    after_help = "Files that are changed are copied to DIR/repair-<time>/ first. Without a daemon running only.\n\
Exit codes: as those of check, of the store after the repair.\n\nExamples:\n  ourod repair /var/lib/ouro --accept-loss \
log-00001.segment-000007:batch-42..57\n  ourod repair /var/lib/ouro --accept-loss shard-00003.data:extent-17 \
store.manifest-b --list-keys"
)]
pub(super) struct Repair {
    /// The store's directory
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Names of problems as check prints them: what each of them says is lost is given up
    #[arg(long, value_name = "NAME", required = true, num_args = 1..)]
    pub(super) accept_loss: Vec<String>,
    /// Name every lost key that can still be read
    #[arg(long)]
    pub(super) list_keys: bool,
    /// Memory that recovering the log may take (the last step); beyond it, that step is left out and noted; 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub(super) maxmemory: u64,
}

/// Write all keys of a stopped store as one portable, checked stream; changes nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Keys whose deadline has passed are left out. The format is in docs/DATA_FORMAT.md.\n\nExamples:\n  \
ourod dump /var/lib/ouro -o backup.ouro\n  ourod dump /var/lib/ouro | zstd | ssh other 'zstd -d | ourod restore \
/var/lib/ouro'"
)]
pub(super) struct Dump {
    /// The store's directory
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// File to write, which must not exist; - for stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(super) output: PathBuf,
    /// Memory that the index and what the log holds since the last checkpoint may take; 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub(super) maxmemory: u64,
}

/// Make a new store of a dump; the way to change the number of shards
#[derive(Debug, Args)]
#[command(
    after_help = "A dump that is cut short or damaged is refused and leaves nothing behind. A directory whose restore was \
killed\nis not opened by the daemon: remove it and restore again.\n\nExamples:\n  ourod restore /var/lib/ouro-new \
backup.ouro\n  ourod restore /var/lib/ouro-new backup.ouro --shards 64 --workers 8"
)]
pub(super) struct Restore {
    /// The new store's directory: missing, or empty
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// The dump; - for stdin
    #[arg(value_name = "FILE", default_value = "-")]
    pub(super) file: PathBuf,
    /// Shards of the new store, fixed for its life
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) shards: u16,
    /// Logs to make, one a worker; a start with another number of workers changes that [default: one per CPU]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) workers: Option<u16>,
    /// Memory that records and index may take; 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub(super) maxmemory: u64,
    /// Whether the new store has a log, for its life; without one it is durable at checkpoints only
    #[arg(long, value_name = "YES", default_value = "yes", value_parser = ["yes", "no"], ignore_case = true)]
    pub(super) wal: String,
    /// Size of a log segment file, in bytes
    #[arg(long, value_name = "SIZE", default_value = "64mb", value_parser = parse_size)]
    pub(super) wal_segment_bytes: u64,
}

/// The whole command line as clap knows it, the daemon's options and the tools: for completions and manual pages.
#[must_use]
pub fn whole_command_line() -> clap::Command {
    let tools = Arguments::command().get_subcommands().cloned().collect::<Vec<_>>();
    crate::options::command_line().subcommands(tools).disable_help_subcommand(true)
}

/// The tools, one a line, for the help of the daemon.
pub(crate) fn tools_help() -> String {
    let mut text = String::from("Tools for a store that no daemon has open (ourod TOOL --help):\n");
    for tool in Arguments::command().get_subcommands() {
        let about = tool.get_about().map(ToString::to_string).unwrap_or_default();
        text += &format!("  {:<9}{about}\n", tool.get_name());
    }
    text
}
