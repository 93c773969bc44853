//! Where our own programs are: named by the user, or built by cargo into the directory this program runs from, with
//! the profile it was built with. So a harness never measures, and a test never tests, what was built yesterday.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A program of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The daemon.
    Ourod,
    /// The load generator.
    Loadgen,
}

impl Program {
    fn package(self) -> &'static str {
        match self {
            Self::Ourod => "daemon",
            Self::Loadgen => "loadgen",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ourod => "ourod",
            Self::Loadgen => "loadgen",
        }
    }

    /// The environment variable that names a program already built.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Ourod => "OUROD",
            Self::Loadgen => "LOADGEN",
        }
    }

    /// The program: `given`, else what its variable names, else built now.
    ///
    /// # Errors
    /// When there is no such file, or it does not build.
    pub fn find(self, given: Option<&Path>) -> Result<PathBuf> {
        let named = given.map(Path::to_owned).or_else(|| env::var_os(self.variable()).map(PathBuf::from));
        match named {
            Some(path) if path.is_file() => Ok(path),
            Some(path) => bail!("{}: no such program: {}", self.variable(), path.display()),
            None => self.build(),
        }
    }

    fn build(self) -> Result<PathBuf> {
        let (target_dir, profile) = profile_dir(&env::current_exe()?)?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--package", self.package(), "--bin", self.name()]);
        command.args(["--profile", if profile == "debug" { "dev" } else { &profile }]);
        command.arg("--target-dir").arg(&target_dir).current_dir(env!("CARGO_MANIFEST_DIR"));
        let status =
            command.status().with_context(|| format!("cargo does not start to build {}", self.name()))?;
        let path = target_dir.join(&profile).join(self.name());
        if !status.success() || !path.is_file() {
            bail!("{} does not build; name one that is built with {}=<path>", self.name(), self.variable());
        }
        Ok(path)
    }
}

/// The target directory and the profile's folder in it that a program was built into: programs lie in the folder
/// itself, tests one below.
fn profile_dir(program: &Path) -> Result<(PathBuf, String)> {
    let mut folder = program.parent();
    if folder.is_some_and(|folder| folder.ends_with("deps")) {
        folder = folder.and_then(Path::parent);
    }
    let profile = folder.and_then(Path::file_name).and_then(|name| name.to_str());
    let target = folder.and_then(Path::parent);
    match (target, profile) {
        (Some(target), Some(profile)) => Ok((target.to_owned(), profile.to_owned())),
        _ => bail!("{} lies in no target directory", program.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_the_folder_of_a_program_or_above_that_of_a_test() {
        for path in ["/t/release/side_by_side", "/t/release/deps/it-0123"] {
            let (target, profile) = profile_dir(Path::new(path)).unwrap();
            assert_eq!((target, profile.as_str()), (PathBuf::from("/t"), "release"), "{path}");
        }
        assert!(profile_dir(Path::new("side_by_side")).is_err());
    }

    #[test]
    fn a_named_program_must_be_there() {
        let own = env::current_exe().unwrap();
        assert_eq!(Program::Ourod.find(Some(&own)).unwrap(), own);
        let error = Program::Ourod.find(Some(Path::new("/nowhere/ourod"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ourod"), "{error}");
    }
}
