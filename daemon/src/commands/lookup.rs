//! From the name in a request to the command: once per request, without allocation.
//!
//! The table of names is a perfect hash that the compiler finds: a name's length and its first and last bytes,
//! folded to lower case, make a word that no two names share; a multiplication spreads the words over the slots so
//! that no two meet. One comparison then decides. Subcommands are few and rare: they are searched in order.

use resp::{Args, ReplyWriter};

use super::command::{Command, Execution};
use super::error_text;
use super::table::{COMMAND_COUNT, COMMANDS};

const SLOT_BITS: u32 = 10;
const SLOT_COUNT: usize = 1 << SLOT_BITS;
/// Longest name of a command.
const NAME_BYTES_MAX: usize = 16;
/// No command.
const EMPTY: u8 = u8::MAX;
const _: () = assert!(COMMAND_COUNT < EMPTY as usize);

/// A name of up to 16 bytes as two words, folded: bytes that are letters become lower case, and no byte that is not
/// a letter becomes one.
type Folded = (u64, u64);
const FOLD: u64 = 0x2020_2020_2020_2020;

#[inline]
const fn word8(bytes: &[u8], at: usize) -> u64 {
    let b = bytes;
    u64::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7]])
}

#[inline]
const fn word4(bytes: &[u8], at: usize) -> u64 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as u64
}

/// Length and overlapping ends hold every byte of the name.
#[inline]
const fn fold(name: &[u8]) -> Option<Folded> {
    let len = name.len();
    let (low, high) = match len {
        1..=3 => ((name[0] as u64) | (name[len / 2] as u64) << 8 | (name[len - 1] as u64) << 16, 0),
        4..=7 => (word4(name, 0) | word4(name, len - 4) << 32, 0),
        8..=NAME_BYTES_MAX => (word8(name, 0), word8(name, len - 8)),
        _ => return None,
    };
    Some((low | FOLD, (high | FOLD) ^ ((len as u64) << 56)))
}

#[inline]
const fn slot_of(folded: Folded, multiplier: u64) -> usize {
    let mixed = folded.0 ^ folded.1.rotate_left(23);
    (mixed.wrapping_mul(multiplier) >> (u64::BITS - SLOT_BITS)) as usize
}

pub(super) const fn is_subcommand_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if name[at] == b'|' {
            return true;
        }
        at += 1;
    }
    false
}

/// The slots under a multiplier, or none when two names meet.
const fn place(multiplier: u64) -> Option<[u8; SLOT_COUNT]> {
    let mut slots = [EMPTY; SLOT_COUNT];
    let mut index = 0;
    while index < COMMAND_COUNT {
        let name = COMMANDS[index].name.as_bytes();
        if !is_subcommand_name(name) {
            let Some(folded) = fold(name) else { panic!("a command's name is too long") };
            let slot = slot_of(folded, multiplier);
            if slots[slot] != EMPTY {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "the table has fewer than 255 entries")]
            let entry = index as u8;
            slots[slot] = entry;
        }
        index += 1;
    }
    Some(slots)
}

const fn find() -> (u64, [u8; SLOT_COUNT]) {
    let mut multiplier = 0x9e37_79b9_7f4a_7c15_u64;
    loop {
        if let Some(slots) = place(multiplier) {
            return (multiplier, slots);
        }
        multiplier = multiplier.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(2);
    }
}

const FOUND: (u64, [u8; SLOT_COUNT]) = find();
const MULTIPLIER: u64 = FOUND.0;
static SLOTS: [u8; SLOT_COUNT] = FOUND.1;
/// Folded names, by index in the table.
static FOLDED: [Folded; COMMAND_COUNT] = {
    let mut all = [(0, 0); COMMAND_COUNT];
    let mut index = 0;
    while index < COMMAND_COUNT {
        if let Some(folded) = fold(COMMANDS[index].name.as_bytes()) {
            all[index] = folded;
        }
        index += 1;
    }
    all
};

/// Whether a name has a byte that is no letter, by index in the table.
static HAS_DOT: [bool; COMMAND_COUNT] = {
    let mut all = [false; COMMAND_COUNT];
    let mut index = 0;
    while index < COMMAND_COUNT {
        let name = COMMANDS[index].name.as_bytes();
        let mut at = 0;
        while at < name.len() {
            all[index] |= name[at] == b'.';
            at += 1;
        }
        index += 1;
    }
    all
};

/// The command of a name, in any case; a container too, but no subcommand.
#[must_use]
#[inline]
pub fn lookup_command(name: &[u8]) -> Option<&'static Command> {
    let folded = fold(name)?;
    let index = usize::from(SLOTS[slot_of(folded, MULTIPLIER)]);
    if FOLDED.get(index) != Some(&folded) {
        return None;
    }
    let command = COMMANDS.get(index)?;
    // Folding takes a control character for the dot of our own commands.
    let same = !HAS_DOT[index] || command.name.as_bytes().eq_ignore_ascii_case(name);
    same.then_some(command)
}

/// The subcommand of a name, in any case.
#[must_use]
pub fn lookup_subcommand(container: &Command, name: &[u8]) -> Option<&'static Command> {
    container.subcommands().iter().find(|command| command.short_name().as_bytes().eq_ignore_ascii_case(name))
}

/// The command of a full name, `get` or `client|list`, in any case.
#[must_use]
pub fn lookup_full_name(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|&byte| byte == b'|') {
        None => lookup_command(name),
        Some(bar) => lookup_subcommand(lookup_command(&name[..bar])?, &name[bar + 1..]),
    }
}

/// Why a request is refused before anything runs.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// No such command.
    UnknownCommand,
    /// The command has subcommands, and this is none.
    UnknownSubcommand(&'static Command),
    /// Too many arguments, or too few.
    WrongArity(&'static Command),
}

impl Refusal {
    /// Writes the error.
    #[cold]
    pub fn write(&self, args: Args<'_>, reply: &mut ReplyWriter<'_>) {
        match self {
            Self::UnknownCommand => error_text::unknown_command(args, reply),
            Self::UnknownSubcommand(_) => error_text::unknown_subcommand(args, reply),
            Self::WrongArity(command) => error_text::wrong_arity(command, reply),
        }
    }

    /// The command whose refusals this counts among.
    #[must_use]
    pub const fn command(&self) -> Option<&'static Command> {
        match self {
            Self::UnknownCommand => None,
            Self::UnknownSubcommand(command) | Self::WrongArity(command) => Some(command),
        }
    }
}

/// The command, or subcommand, that a request asks for, with a number of arguments that it takes.
#[inline]
pub fn resolve(args: Args<'_>) -> Result<&'static Command, Refusal> {
    let mut command = lookup_command(args.at(0)).ok_or(Refusal::UnknownCommand)?;
    if command.subcommands.1 != 0
        && let Some(name) = args.get(1)
    {
        command = lookup_subcommand(command, name).ok_or(Refusal::UnknownSubcommand(command))?;
    }
    let fits = command.check_arity(args.len()) && command.has_whole_steps(args.len());
    if !fits || matches!(command.execution, Execution::Container) {
        return Err(Refusal::WrongArity(command));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for command in &COMMANDS {
            let upper = command.name.to_ascii_uppercase();
            for name in [command.name, &upper] {
                let found = lookup_full_name(name.as_bytes());
                assert_eq!(found.map(|found| found.id), Some(command.id), "{name}");
            }
        }
    }

    #[test]
    fn a_key_without_its_value_is_refused_before_anything_is_written() {
        let refused = |words: &[&[u8]]| {
            let mut request = Vec::new();
            resp::write_request(&mut request, words);
            let mut parser = resp::RequestParser::new();
            parser.parse(&request, &resp::RequestLimits::default()).unwrap();
            matches!(resolve(parser.args(&request)), Err(Refusal::WrongArity(_)))
        };
        assert!(refused(&[b"mset", b"a", b"1", b"b"]) && refused(&[b"msetnx", b"a", b"1", b"b"]));
        assert!(!refused(&[b"mset", b"a", b"1"]) && !refused(&[b"del", b"a", b"b", b"c"]));
        assert!(refused(&[b"client"]) && refused(&[b"get"]) && !refused(&[b"command"]));
    }

    #[test]
    fn what_only_resembles_a_name_is_not_found() {
        for command in COMMANDS.iter().filter(|command| !command.is_subcommand()) {
            let name = command.name.as_bytes();
            for at in 0..name.len() {
                for other in
                    [0x00, b' ', b'@', name[at] ^ 0x40, name[at] ^ 0x80, name[at] ^ 1, name[at] & !0x60]
                {
                    let mut near = name.to_vec();
                    near[at] = other;
                    let found = lookup_command(&near).map(|found| found.name.as_bytes());
                    assert!(found.is_none_or(|found| found.eq_ignore_ascii_case(&near)), "{near:?}");
                }
            }
            assert!(
                lookup_command(&[name, b"x"].concat()).is_none_or(|found| found.name.len() == name.len() + 1)
            );
        }
        assert!(lookup_command(b"").is_none() && lookup_command(&[b'a'; 17]).is_none());
        assert!(lookup_command(b"client|list").is_none());
    }
}
