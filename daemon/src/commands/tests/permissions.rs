//! What a user needs to run a command, for every command of the table: the request is made from what the table says
//! of it, so that a new command is covered too. Where `redis-server` is installed, its verdicts are the same.

use resp::{RequestLimits, RequestParser};

use super::executor::Executor;
use super::redis::{Redis, RedisClient};
use super::script::request_of;
use crate::commands::command::{Command, Execution};
use crate::commands::flags::Flags;
use crate::commands::resolve;
use crate::commands::table::COMMANDS;

/// A set of rules, and how ACL DRYRUN's answer ends under it.
struct Expected {
    rules: String,
    answer_end: String,
}

const ALLOWED: &str = "+OK\r\n";

fn expect(rules: String, answer_end: impl Into<String>) -> Expected {
    Expected { rules, answer_end: answer_end.into() }
}

/// A request of so many words: the command's name, then `word<index>` at each further index.
fn example(command: &Command, len: usize) -> String {
    let mut words: Vec<String> = command.name.split('|').map(str::to_owned).collect();
    while words.len() < len {
        words.push(format!("word{}", words.len()));
    }
    words.join(" ")
}

/// All there is to check of a command.
fn expectations(command: &Command, text: &str) -> Vec<Expected> {
    let request = request_of(text);
    let mut parser = RequestParser::new();
    parser.parse(&request, &RequestLimits::default()).unwrap();
    let args = parser.args(&request);
    let found = resolve(args).ok().map(|found| found.name);
    assert_eq!(found, Some(command.name), "`{text}` is no request for {}: it needs an example", command.name);
    for spec in command.keys.iter().chain(&command.more_keys) {
        assert!(
            spec.positions(args.len()).next().is_some(),
            "`{text}` has no key: {} needs one",
            command.name
        );
    }
    assert_eq!(command.channels.is_some(), command.channels(args).next().is_some(), "`{text}`: no channel");

    let mut all = by_command(command);
    let keys: Vec<_> = command.keys_with_uses(args).collect();
    for (at, uses) in &keys {
        let others: String =
            keys.iter().filter(|(other, _)| other != at).map(|(other, _)| format!(" ~word{other}")).collect();
        let reads = uses.contains(&"access");
        let writes = ["insert", "update", "delete"].iter().any(|changes| uses.contains(changes));
        let denied = format!("to access the 'word{at}' key\r\n");
        for (grant, may_read, may_write) in [("%R", true, false), ("%W", false, true), ("%RW", true, true)] {
            let rules = format!("+@all &*{others} {grant}~word{at}");
            let allowed = (may_read || !reads) && (may_write || !writes);
            all.push(expect(rules, if allowed { ALLOWED } else { &denied }));
        }
        all.push(expect(format!("+@all &*{others}"), denied));
    }
    let channels: Vec<usize> = command.channels(args).map(|(at, _)| at).collect();
    for at in channels {
        all.push(expect("+@all ~* resetchannels".into(), format!("to access the 'word{at}' channel\r\n")));
        all.push(expect(format!("+@all ~* resetchannels &word{at}"), ALLOWED));
    }
    all
}

/// By its categories, its own name and its container's. What logs in and out is never refused.
fn by_command(command: &Command) -> Vec<Expected> {
    let denied = if command.flags.contains(Flags::NO_AUTH) {
        ALLOWED.to_owned()
    } else {
        format!("to run the '{}' command\r\n", command.name)
    };
    let mut all = vec![expect("~* &*".into(), denied.clone())];
    let container = command.name.split_once('|').map(|(container, _)| container.to_owned());
    let categories = command.categories.names().map(str::to_owned);
    for name in categories.chain([command.name.to_owned()]).chain(container) {
        all.push(expect(format!("~* &* +{name}"), ALLOWED));
        all.push(expect(format!("~* &* +@all -{name}"), denied.clone()));
    }
    all
}

fn check(side: &str, text: &str, expected: &Expected, mut ask: impl FnMut(&[u8]) -> Vec<u8>) {
    let set = ask(&request_of(&format!("ACL SETUSER u reset {}", expected.rules)));
    assert_eq!(String::from_utf8_lossy(&set), "+OK\r\n", "{side}: {}", expected.rules);
    let answer = ask(&request_of(&format!("ACL DRYRUN u {text}")));
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.ends_with(&expected.answer_end),
        "{side}: `{text}` with `{}`\n  answers {answer:?}\n  instead of {:?}",
        expected.rules,
        expected.answer_end
    );
}

/// How many words the command takes at least in Redis; `None`: Redis does not have it.
fn words_in_redis(redis: &mut RedisClient, command: &Command) -> Option<usize> {
    let info = redis.ask(&request_of(&format!("COMMAND INFO {}", command.name)));
    let info = String::from_utf8(info).expect("names and numbers");
    let arity: isize = info.lines().find_map(|line| line.strip_prefix(':'))?.parse().expect("a number");
    Some(arity.unsigned_abs())
}

#[test]
fn every_command_needs_its_category_or_name_its_keys_and_its_channels() {
    let redis = Redis::start();
    let mut client = redis.as_ref().map(Redis::connect);
    let mut executor = Executor::new();
    for command in COMMANDS.iter().filter(|command| !matches!(command.execution, Execution::Container)) {
        let len = usize::from(command.arity.unsigned_abs());
        let text = example(command, len);
        for expected in &expectations(command, &text) {
            check("ours", &text, expected, |request| executor.run(request));
        }
        let Some(client) = &mut client else { continue };
        let Some(len_in_redis) = words_in_redis(client, command) else { continue };
        let text = example(command, len.max(len_in_redis));
        for expected in &expectations(command, &text) {
            check("redis", &text, expected, |request| client.ask(request));
        }
    }
}
