//! Segment files that a log's manifest does not name as segments: left over from before, or what the manifest is too old to
//! know.

use super::problem::{CheckReport, Problem, Remedy, Severity};
use super::source::{Source, read_head};
use crate::io::{BLOCK_BYTES, FileId};
use crate::log::LogIdentity;
use crate::log::manifest::LogManifest;
use crate::log::segment::{HeaderCopy, SEGMENT_HEADER_BYTES, SegmentHeader};

/// Looks at every segment file of the log that serves as none, free ones too: it has no header, or one older than all
/// segments that are named, as a start demands it.
pub(super) fn check_unnamed(
    source: &mut dyn Source,
    identity: &LogIdentity,
    manifest: &LogManifest,
    report: &mut CheckReport,
) {
    let Ok(names) = source.names() else { return };
    let first = manifest.segments[0].generation;
    for file in names.iter().filter_map(|name| name.parse::<FileId>().ok()) {
        let FileId::Segment { log, file: number } = file else { continue };
        if log != identity.log || manifest.segments.iter().any(|entry| entry.file == number) {
            continue;
        }
        let is_free = manifest.free.iter().any(|free| free.file == number);
        report.looked.files += u64::from(!is_free);
        match read_head(source, file, SEGMENT_HEADER_BYTES) {
            Ok(bytes) => {
                let bytes = bytes.unwrap_or_default();
                let found = bytes.chunks_exact(BLOCK_BYTES).map(SegmentHeader::decode);
                let found = found.filter(|copy| *copy != HeaderCopy::Invalid).collect::<Vec<_>>();
                judge(file, identity, first, &found, (is_free, manifest), report);
            }
            Err(error) => {
                report.damage(&file, "unreadable", format!("it cannot be read: {error}"));
            }
        }
    }
}

fn judge(
    file: FileId,
    identity: &LogIdentity,
    first: u64,
    copies: &[HeaderCopy],
    (is_free, manifest): (bool, &LogManifest),
    report: &mut CheckReport,
) {
    for copy in copies {
        match copy {
            HeaderCopy::Newer(format) => {
                let what = format!("it has format {format}, newer than this program reads");
                report.damage(&file, "newer", what);
                return;
            }
            HeaderCopy::Valid(header) if !header.belongs_to(identity) => {
                let what = "its header says it is another file: files are swapped".to_owned();
                report.damage(&file, "foreign", what);
                return;
            }
            HeaderCopy::Valid(header) if header.generation >= first => {
                let what = format!(
                    "it holds generation {} of the log, and the log's manifest does not name it: the manifest is older than \
                     the log, or from a copy of the store that went its own way",
                    header.generation
                );
                let lost = format!("batches {} and later, as far as they are in it", header.first_batch);
                let problem = Problem::new(Severity::Damage, &file, "not-named", what).losing(lost);
                let remedy = if is_free {
                    let mut without = manifest.successor(manifest.reached);
                    without
                        .free
                        .retain(|free| FileId::Segment { log: manifest.log, file: free.file } != file);
                    Remedy::ForgetFile { log: manifest.log, manifest: without, remove: Some(file) }
                } else {
                    Remedy::RemoveFile { file }
                };
                report.problems.push(problem.healed_by(remedy));
                return;
            }
            HeaderCopy::Valid(_) | HeaderCopy::Invalid => {}
        }
    }
    if !is_free {
        let what = "nothing names it, and nothing needs it: left over from what a crash cut short; a start removes it";
        report.note(&file, "left-over", what.to_owned());
    }
}
