//! Manifests in two copies: one may be bad, and is healed from the other.

use super::problem::{CheckReport, Problem, Remedy, Severity};
use super::source::{Source, read_head};
use crate::io::FileId;
use crate::log::copies::TwoCopies;
use crate::log::manifest::ManifestRead;

/// The manifest that counts, if there is one; what is wrong with the copies goes into the report. `required`: it is
/// damage when there is none.
pub(super) fn check_copies<M: TwoCopies>(
    source: &mut dyn Source,
    files: [FileId; 2],
    bytes_max: usize,
    required: bool,
    report: &mut CheckReport,
) -> Option<M> {
    let copies = files.map(|file| read_copy::<M>(source, file, bytes_max));
    report.looked.files += 2;
    let mut found: Vec<(FileId, M)> = Vec::new();
    let mut bad: Vec<(FileId, String)> = Vec::new();
    for (file, copy) in files.into_iter().zip(copies) {
        match copy {
            Ok(manifest) => found.push((file, manifest)),
            Err(Bad::Newer(format)) => {
                report.damage(
                    &file,
                    "newer",
                    format!("it has format {format}, newer than this program reads"),
                );
                return None;
            }
            Err(Bad::Other(what)) => bad.push((file, what)),
        }
    }
    let best =
        found.iter().max_by_key(|(_, manifest)| manifest.sequence()).map(|(_, manifest)| manifest.clone());
    let Some(best) = best else {
        if required {
            for (file, what) in bad {
                let why =
                    "its other copy is not intact either: restore one of them from a copy of the directory";
                let problem = Problem::new(Severity::Damage, &file, "", what);
                report.problems.push(problem.healed_by(Remedy::Impossible(why.to_owned())));
            }
        }
        return None;
    };
    for (file, manifest) in found {
        if manifest == best {
            continue;
        }
        if manifest.sequence() == best.sequence() {
            let what = "both copies are intact and contradict each other: files of two stores are mixed";
            report.damage(&file, "contradiction", what.to_owned());
            return None;
        }
        bad.push((file, "it is older than the other copy: a write of both was cut short".to_owned()));
    }
    for (file, what) in bad {
        let remedy = Remedy::WriteCopy { file, bytes: best.encode() };
        let problem = Problem::new(Severity::Note, &file, "", format!("{what}; the other copy is intact"));
        report.problems.push(problem.healed_by(remedy));
    }
    Some(best)
}

enum Bad {
    Newer(u32),
    Other(String),
}

fn read_copy<M: TwoCopies>(source: &mut dyn Source, file: FileId, bytes_max: usize) -> Result<M, Bad> {
    match read_head(source, file, bytes_max) {
        Ok(Some(bytes)) => match M::decode(&bytes) {
            ManifestRead::Valid(manifest) => Ok(manifest),
            ManifestRead::Newer(format) => Err(Bad::Newer(format)),
            ManifestRead::Invalid => Err(Bad::Other("it is damaged".to_owned())),
        },
        Ok(None) => Err(Bad::Other("it is missing".to_owned())),
        Err(error) => Err(Bad::Other(format!("it cannot be read: {error}"))),
    }
}
