//! All commands, in one table by families. A subcommand stands right after its container.

mod connections;
mod keys;
mod pubsub;
mod server;
mod strings;
mod watching;
mod words;

use super::command::{Command, CommandId};

/// Number of commands and subcommands.
pub const COMMAND_COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// The table by families.
const PARTS: &[&[Command]] = &[
    &strings::STRINGS,
    &strings::BITS,
    &strings::COMPARISONS,
    &keys::GENERIC,
    &keys::NAMES,
    &keys::DUMPS,
    &keys::INSIGHT,
    &connections::CONNECTIONS,
    &server::SERVER,
    &server::WHOLE_SERVER,
    &watching::WATCHING,
    &connections::ACCESS,
    &pubsub::PUBSUB,
];

/// All commands, each at the index that is its id.
pub static COMMANDS: [Command; COMMAND_COUNT] = assemble();

/// Puts the parts together, numbers the commands and ties the subcommands to their containers.
const fn assemble() -> [Command; COMMAND_COUNT] {
    let mut all = [strings::STRINGS[0]; COMMAND_COUNT];
    let mut count = 0;
    let (mut part, mut container) = (0, 0);
    while part < PARTS.len() {
        let mut index = 0;
        while index < PARTS[part].len() {
            all[count] = PARTS[part][index];
            #[expect(clippy::cast_possible_truncation, reason = "there are some dozens of commands")]
            let id = count as u16;
            all[count].id = CommandId(id);
            if super::lookup::is_subcommand_name(all[count].name.as_bytes()) {
                let first = if all[container].subcommands.1 == 0 { id } else { all[container].subcommands.0 };
                all[container].subcommands = (first, all[container].subcommands.1 + 1);
            } else {
                container = count;
            }
            count += 1;
            index += 1;
        }
        part += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::command::Execution::{Checked, Key, Keys, SameShard, Together};
    use super::*;

    #[test]
    fn subcommands_follow_their_container() {
        for command in &COMMANDS {
            for subcommand in command.subcommands() {
                let prefix = format!("{}|", command.name);
                assert!(subcommand.name.starts_with(&prefix), "{}", subcommand.name);
            }
        }
        let tied: usize = COMMANDS.iter().map(|command| command.subcommands().len()).sum();
        assert_eq!(tied, COMMANDS.iter().filter(|command| command.is_subcommand()).count());
    }

    #[test]
    fn ids_are_indexes() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert_eq!(command.id.index(), index);
        }
    }

    #[test]
    fn every_command_of_keys_knows_them() {
        for command in &COMMANDS {
            let wants_keys = matches!(
                command.execution,
                Key(_) | Keys { .. } | Checked { .. } | SameShard(_) | Together(_)
            );
            assert_eq!(wants_keys, command.keys.is_some(), "{}", command.name);
        }
    }
}
