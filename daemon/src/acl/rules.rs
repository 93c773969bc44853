//! The rules of ACL SETUSER and of ACL files: each changes one thing of a user. Source of their meaning and of the
//! error texts: `ACLSetUser`, `ACLSetSelector` and `ACLSetUserStringError` of Redis 7.2.

use super::password::PasswordHash;
use super::selector::{CommandSet, KeyAccess, Selector};
use super::user::User;
use crate::commands::{COMMANDS, Categories, Command, lookup_full_name};

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It is none.
    #[error("Syntax error")]
    Syntax,
    /// It names a command or a category that there is not.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// All keys are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
         'resetkeys' to start with an empty list of patterns"
    )]
    AllKeys,
    /// All channels are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
         Try 'resetchannels' to start with an empty list of channels"
    )]
    AllChannels,
    /// The password to take away is not there.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// It is no SHA-256.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    BadHash,
    /// A selector that is never closed.
    #[error("Unmatched parenthesis in acl selector")]
    Unmatched,
    /// A first argument after a subcommand.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgumentOfSubcommand,
}

/// Applies one rule to a user. What is made anew may use all channels where that is the default (`all_channels`).
///
/// # Errors
/// Then the user may be changed in part: work on a copy.
pub(super) fn apply(user: &mut User, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
    let word = rule.to_ascii_lowercase();
    match &word[..] {
        b"on" => user.enabled = true,
        b"off" => user.enabled = false,
        b"nopass" => {
            user.no_password = true;
            user.passwords.clear();
        }
        b"resetpass" => {
            user.no_password = false;
            user.passwords.clear();
        }
        b"skip-sanitize-payload" => user.skip_sanitize_payload = true,
        b"sanitize-payload" => user.skip_sanitize_payload = false,
        b"clearselectors" => user.selectors.clear(),
        b"reset" => *user = User::nobody(all_channels),
        _ => match rule.split_first() {
            Some((b'>', password)) => add_password(user, PasswordHash::of(password)),
            Some((b'#', hash)) => {
                add_password(user, PasswordHash::from_hex(hash).ok_or(RuleError::BadHash)?);
            }
            Some((b'<', password)) => remove_password(user, PasswordHash::of(password))?,
            Some((b'!', hash)) => {
                remove_password(user, PasswordHash::from_hex(hash).ok_or(RuleError::BadHash)?)?;
            }
            Some((b'(', inner)) => {
                let inner = inner.strip_suffix(b")").ok_or(RuleError::Syntax)?;
                let mut selector = Selector::nothing(all_channels);
                for word in inner.split(|&byte| byte == b' ').filter(|word| !word.is_empty()) {
                    apply_to_selector(&mut selector, word)?;
                }
                user.selectors.push(selector);
            }
            _ => apply_to_selector(&mut user.root, rule)?,
        },
    }
    Ok(())
}

/// Joins the words of a selector that a client sent as several arguments: from one that opens with `(` to the one
/// that closes it.
///
/// # Errors
/// The word that opens a selector which is never closed.
pub(super) fn join_selectors<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut joined: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    for word in words {
        if open {
            if let Some(last) = joined.last_mut() {
                last.push(b' ');
                last.extend_from_slice(word);
            }
        } else {
            open = word.starts_with(b"(");
            joined.push(word.to_vec());
        }
        open &= !word.ends_with(b")");
    }
    if open { Err(joined.pop().unwrap_or_default()) } else { Ok(joined) }
}

fn add_password(user: &mut User, hash: PasswordHash) {
    if !user.passwords.contains(&hash) {
        user.passwords.push(hash);
    }
    user.no_password = false;
}

fn remove_password(user: &mut User, hash: PasswordHash) -> Result<(), RuleError> {
    let at = user.passwords.iter().position(|known| *known == hash).ok_or(RuleError::NoSuchPassword)?;
    user.passwords.remove(at);
    Ok(())
}

fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0)
}

fn apply_to_selector(selector: &mut Selector, rule: &[u8]) -> Result<(), RuleError> {
    let word = rule.to_ascii_lowercase();
    match &word[..] {
        b"allkeys" | b"~*" => {
            selector.all_keys = true;
            selector.keys.clear();
        }
        b"resetkeys" => {
            selector.all_keys = false;
            selector.keys.clear();
        }
        b"allchannels" | b"&*" => {
            selector.all_channels = true;
            selector.channels.clear();
        }
        b"resetchannels" => {
            selector.all_channels = false;
            selector.channels.clear();
        }
        b"allcommands" | b"+@all" => allow_all(selector, true),
        b"nocommands" | b"-@all" => allow_all(selector, false),
        _ => match rule.split_first() {
            Some((b'~', pattern)) => add_keys(selector, pattern, KeyAccess::ALL)?,
            Some((b'%', rest)) => {
                let (pattern, access) = key_access(rest)?;
                add_keys(selector, pattern, access)?;
            }
            Some((b'&', channel)) => {
                if selector.all_channels {
                    return Err(RuleError::AllChannels);
                }
                if has_spaces(channel) {
                    return Err(RuleError::Syntax);
                }
                if !selector.channels.iter().any(|known| known == channel) {
                    selector.channels.push(channel.to_vec());
                }
            }
            Some((b'+', name)) => change_commands(selector, name, true)?,
            Some((b'-', name)) => change_commands(selector, name, false)?,
            _ => return Err(RuleError::Syntax),
        },
    }
    Ok(())
}

fn allow_all(selector: &mut Selector, yes: bool) {
    selector.commands = if yes { CommandSet::ALL } else { CommandSet::default() };
    selector.all_commands = yes;
    selector.command_rules.clear();
    selector.first_arguments.clear();
}

/// `RW~pattern` after the percent sign.
fn key_access(rest: &[u8]) -> Result<(&[u8], KeyAccess), RuleError> {
    let end = rest.iter().position(|&byte| byte == b'~').ok_or(RuleError::Syntax)?;
    let mut access = KeyAccess::default();
    for letter in &rest[..end] {
        match letter.to_ascii_uppercase() {
            b'R' if !access.read => access.read = true,
            b'W' if !access.write => access.write = true,
            _ => return Err(RuleError::Syntax),
        }
    }
    if access == KeyAccess::default() {
        return Err(RuleError::Syntax);
    }
    Ok((&rest[end + 1..], access))
}

fn add_keys(selector: &mut Selector, pattern: &[u8], access: KeyAccess) -> Result<(), RuleError> {
    if selector.all_keys {
        return Err(RuleError::AllKeys);
    }
    if has_spaces(pattern) {
        return Err(RuleError::Syntax);
    }
    selector.add_keys(pattern, access);
    Ok(())
}

fn change_commands(selector: &mut Selector, name: &[u8], yes: bool) -> Result<(), RuleError> {
    if let Some(category) = name.strip_prefix(b"@") {
        let category = Categories::from_name(category).ok_or(RuleError::Unknown)?;
        for command in COMMANDS.iter().filter(|command| command.categories.contains(category)) {
            set(selector, command, yes);
        }
    } else if let Some(command) = lookup_full_name(name) {
        set(selector, command, yes);
        for subcommand in command.subcommands() {
            set(selector, subcommand, yes);
        }
    } else if yes && name.contains(&b'|') {
        allow_first_argument(selector, name)?;
    } else {
        return Err(RuleError::Unknown);
    }
    note_rule(selector, name, yes);
    Ok(())
}

fn set(selector: &mut Selector, command: &Command, yes: bool) {
    selector.commands.set(command.id, yes);
    selector.first_arguments.retain(|(id, _)| *id != command.id);
}

/// `+select|0`: a command that has no subcommands, with one first argument only.
fn allow_first_argument(selector: &mut Selector, name: &[u8]) -> Result<(), RuleError> {
    let bar = name.iter().rposition(|&byte| byte == b'|').ok_or(RuleError::Syntax)?;
    let (container, argument) = (&name[..bar], &name[bar + 1..]);
    let command = lookup_full_name(container).ok_or(RuleError::Unknown)?;
    if command.is_subcommand() {
        return Err(RuleError::FirstArgumentOfSubcommand);
    }
    if !command.subcommands().is_empty() {
        return Err(RuleError::Unknown);
    }
    // With a blank in it the file of users could not be read again.
    if argument.is_empty() || argument.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(RuleError::Syntax);
    }
    let argument = argument.to_ascii_lowercase();
    if !selector.commands.has(command.id)
        && !selector.first_arguments.contains(&(command.id, argument.clone()))
    {
        selector.first_arguments.push((command.id, argument));
    }
    Ok(())
}

/// Notes a rule about commands: it takes the place of those that it makes void.
fn note_rule(selector: &mut Selector, name: &[u8], yes: bool) {
    let name = String::from_utf8_lossy(name).to_lowercase();
    selector.command_rules.retain(|rule| {
        let known = &rule[1..];
        known != name && !known.strip_prefix(&name).is_some_and(|rest| rest.starts_with('|'))
    });
    selector.command_rules.push(format!("{}{name}", if yes { '+' } else { '-' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_argument_with_a_blank_is_refused_as_the_file_of_users_could_not_hold_it() {
        for argument in ["a b", "a\n", "a\tb", "\0", ""] {
            let mut selector = Selector::default();
            let rule = [b"select|", argument.as_bytes()].concat();
            assert!(
                matches!(allow_first_argument(&mut selector, &rule), Err(RuleError::Syntax)),
                "{argument:?}"
            );
        }
        assert!(allow_first_argument(&mut Selector::default(), b"select|0").is_ok());
    }
}
