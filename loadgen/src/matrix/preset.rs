//! Known ways to start servers. A preset is a program and what survives a crash: `redis-always`, `ouro-memory`.

use super::spec::ServerSpec;

/// Servers with their programs.
const PROGRAMS: [(&str, &str, Family); 3] = [
    ("redis", "redis-server", Family::Redis),
    ("valkey", "valkey-server", Family::Redis),
    ("ouro", "ourod", Family::Ouro),
];

#[derive(Clone, Copy)]
enum Family {
    Redis,
    Ouro,
}

/// Words after the server's name.
const DURABILITIES: [&str; 3] = ["memory", "everysec", "always"];

/// The command line of a server, with `{socket}`, `{dir}` and `{cpus}` still to be filled in.
///
/// # Errors
/// A sentence for the user when the server has neither a known preset nor a command.
pub fn command_of(server: &ServerSpec) -> Result<Vec<String>, String> {
    let command = server.command.list();
    let mut words = match (&server.preset, command.is_empty()) {
        (Some(_), false) => return Err(format!("{}: a preset or a command, not both", server.name)),
        (Some(preset), true) => of_preset(preset, server)?,
        (None, false) if command.iter().any(|word| word.contains("{socket}")) => command,
        (None, false) => {
            return Err(format!("{}: its command must say where to listen: {{socket}}", server.name));
        }
        (None, true) => return Err(format!("{}: it needs a preset or a command", server.name)),
    };
    words.extend(server.args.list());
    Ok(words)
}

fn of_preset(preset: &str, server: &ServerSpec) -> Result<Vec<String>, String> {
    let unknown = || {
        let names: Vec<String> = PROGRAMS
            .iter()
            .flat_map(|(name, ..)| DURABILITIES.map(|durability| format!("{name}-{durability}")))
            .collect();
        format!("{}: there is no preset {preset:?}; there are {}", server.name, names.join(", "))
    };
    let (name, durability) = preset.rsplit_once('-').ok_or_else(unknown)?;
    let (_, program, family) = PROGRAMS.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
    if !DURABILITIES.contains(&durability) {
        return Err(unknown());
    }
    let program =
        server.program.as_ref().map_or_else(|| (*program).to_owned(), |path| path.display().to_string());
    let options = match (family, durability) {
        (Family::Redis, "memory") => "--port 0 --daemonize no --appendonly no".to_owned(),
        (Family::Redis, fsync) => format!(
            "--port 0 --daemonize no --appendonly yes --appendfsync {fsync} --auto-aof-rewrite-percentage 0"
        ),
        (Family::Ouro, "memory") => "--storage memory --wal no --workers 1".to_owned(),
        (Family::Ouro, fsync) => format!("--appendfsync {fsync} --workers 1"),
    };
    let mut words = vec![program];
    words.extend(options.split(' ').map(str::to_owned));
    if matches!(family, Family::Redis) {
        // No snapshots: an empty word turns them off.
        words.extend(["--save".to_owned(), String::new()]);
    } else {
        words.extend(["--cpus".to_owned(), "{cpus}".to_owned()]);
    }
    words.extend(["--unixsocket", "{socket}", "--dir", "{dir}"].map(str::to_owned));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::spec::Words;

    fn server(preset: Option<&str>, command: &str) -> ServerSpec {
        ServerSpec {
            name: "x".to_owned(),
            preset: preset.map(str::to_owned),
            program: None,
            command: Words::Text(command.to_owned()),
            args: Words::Text("--more yes".to_owned()),
            cpus: None,
            baseline: None,
        }
    }

    #[test]
    fn presets_say_what_survives() {
        let line = |preset: &str| command_of(&server(Some(preset), "")).unwrap().join(" ");
        assert!(line("redis-always").contains("--appendfsync always"));
        assert!(line("valkey-memory").starts_with("valkey-server --port 0"));
        assert!(line("ouro-memory").contains("--storage memory --wal no"));
        assert!(line("ouro-always").ends_with("--dir {dir} --more yes"));
    }

    #[test]
    fn a_command_must_have_a_place_for_the_socket() {
        assert!(command_of(&server(None, "x --listen {socket}")).is_ok());
        assert!(command_of(&server(None, "x")).unwrap_err().contains("{socket}"));
        assert!(command_of(&server(Some("redis-memory"), "x {socket}")).unwrap_err().contains("not both"));
        assert!(command_of(&server(Some("mysql-always"), "")).unwrap_err().contains("ouro-everysec"));
    }
}
