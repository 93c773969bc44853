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
    if let [(one, a), (other, b)] = &found[..]
        && !a.agrees_with(b)
    {
        report_two_histories([(*one, b), (*other, a)], report);
        return None;
    }
    for (file, manifest) in found {
        if manifest != best {
            bad.push((file, "it is older than the other copy: a write of both was cut short".to_owned()));
        }
    }
    for (file, what) in bad {
        let remedy = Remedy::WriteCopy { file, bytes: best.encode() };
        let problem = Problem::new(Severity::Note, &file, "", format!("{what}; the other copy is intact"));
        report.problems.push(problem.healed_by(remedy));
    }
    Some(best)
}

/// Two intact copies of which neither was made of the other. Which of them is the store's own is for a person to say: each
/// problem is healed by making that copy like the other one.
fn report_two_histories<M: TwoCopies>(copies: [(FileId, &M); 2], report: &mut CheckReport) {
    for (file, other) in copies {
        let what = "both copies are intact and contradict each other, neither was made of the other: one is from a copy \
                    of the store that went its own way. Repair the one that is not this store's";
        let problem = Problem::new(Severity::Damage, &file, "contradiction", what.to_owned());
        let lost =
            "what this copy says and the other does not: if it is the store's own, whatever only it names";
        let remedy = Remedy::WriteCopy { file, bytes: other.encode() };
        report.problems.push(problem.losing(lost.to_owned()).healed_by(remedy));
    }
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
