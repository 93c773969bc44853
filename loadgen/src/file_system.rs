//! The file system that a server writes to: its type and mount options decide what a durable write costs.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A mounted file system. Its mount point is left out: reports are published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSystem {
    /// `ext4`, `xfs`, `tmpfs`, ...
    pub r#type: String,
    /// Options of the mount and of the file system.
    pub mount_opts: String,
    /// The device, as the kernel names it.
    pub device: String,
}

impl FileSystem {
    /// The file system of a directory as the process `pid` (or this one) sees it.
    #[must_use]
    pub fn of(directory: &Path, pid: Option<u32>) -> Option<Self> {
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
        Self::find(&mounts, &directory.canonicalize().unwrap_or_else(|_| directory.to_owned()))
    }

    /// The mount with the longest path above the directory; of equal ones the last covers the others.
    fn find(mountinfo: &str, directory: &Path) -> Option<Self> {
        let mounts = mountinfo.lines().filter_map(parse);
        let above = mounts.filter(|(point, _)| directory.starts_with(point));
        above.max_by_key(|(point, _)| Path::new(point).components().count()).map(|(_, mount)| mount)
    }
}

/// `36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/vda rw,errors=continue` (proc_pid_mountinfo(5)).
fn parse(line: &str) -> Option<(String, FileSystem)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let point = mount.next()?.replace("\\040", " ");
    let options = mount.next()?;
    let mut system = system.split(' ');
    let kind = system.next()?.to_owned();
    let device = system.next()?.to_owned();
    let more = system.next().unwrap_or_default();
    let mut options: Vec<&str> = options.split(',').collect();
    options.extend(more.split(',').filter(|option| !option.is_empty() && *option != "rw"));
    options.dedup();
    Some((point, FileSystem { r#type: kind, mount_opts: options.join(","), device }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 22 0:25 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1024k
31 22 8:1 / /data\\040one rw,noatime - xfs /dev/sdb rw
";

    #[test]
    fn the_nearest_mount_above_a_directory_is_its_file_system() {
        let find = |path: &str| FileSystem::find(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(find("/var/lib").r#type, "ext4");
        assert_eq!(find("/var/lib").mount_opts, "rw,relatime,errors=remount-ro");
        assert_eq!((find("/tmp/x").r#type.as_str(), find("/tmpfoo").r#type.as_str()), ("tmpfs", "ext4"));
        assert_eq!(find("/data one/x").device, "/dev/sdb");
        assert_eq!(FileSystem::find("", Path::new("/")), None);
    }

    #[test]
    fn this_directory_has_one() {
        assert!(!FileSystem::of(Path::new("."), None).unwrap().r#type.is_empty());
    }
}
