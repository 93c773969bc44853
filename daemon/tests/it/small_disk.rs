//! File systems of a test's own, small or failing, unmounted in the end. Mounting takes root: where it is denied the
//! test says that it is passed over.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::passing_over::pass_over;

/// A file system mounted on a directory of its own.
pub(crate) struct SmallDisk {
    pub(crate) temp: Arc<TempDir>,
    /// The image that a loop device shows, and where it lies.
    image: Option<(PathBuf, Under)>,
}

/// What lies under an image.
enum Under {
    Directory(#[expect(dead_code, reason = "kept until the end")] TempDir),
    Disk(Box<SmallDisk>),
}

/// Runs a command that takes root. `None`: it is denied here.
fn as_root(program: &str, args: &[&str]) -> Option<()> {
    let output = Command::new(program).args(args).output().unwrap();
    if output.status.success() {
        return Some(());
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    let denied =
        ["permission denied", "only root", "must be superuser", "not permitted", "failed to setup loop"];
    assert!(denied.iter().any(|word| why.to_lowercase().contains(word)), "{program}: {why}");
    pass_over(&format!("a file system of its own takes root and loop devices: {why}"));
    None
}

impl SmallDisk {
    /// In memory.
    pub(crate) fn tmpfs(mib: u32) -> Option<Self> {
        let temp = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        as_root("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", temp.path().to_str().unwrap()])?;
        Some(Self { temp: Arc::new(temp), image: None })
    }

    /// An ext4 on a loop device, as a drive of that size would be.
    pub(crate) fn ext4(mib: u32) -> Option<Self> {
        let under = tempfile::tempdir().unwrap();
        let image = under.path().join("image");
        Self::on(image, mib, Under::Directory(under))
    }

    /// An ext4 whose drive has less than it says: writes fail with EIO when `real_mib` are used up.
    pub(crate) fn ext4_on_less(mib: u32, real_mib: u32) -> Option<Self> {
        let under = Self::tmpfs(real_mib)?;
        let image = under.path().join("image");
        Self::on(image, mib, Under::Disk(Box::new(under)))
    }

    /// An ext4 whose drive takes every write into memory, but has less than it says: syncs fail with EIO when `real_mib` are
    /// used up.
    pub(crate) fn ext4_on_less_behind_a_cache(mib: u32, real_mib: u32) -> Option<Self> {
        let under = Self::ext4_on_less(mib + mib / 4, real_mib)?;
        let image = under.path().join("image");
        Self::on(image, mib, Under::Disk(Box::new(under)))
    }

    fn on(image: PathBuf, mib: u32, under: Under) -> Option<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(&image).unwrap();
        file.set_len(u64::from(mib) << 20).unwrap();
        let status =
            Command::new("mkfs.ext4").args(["-q", "-m", "0", "-E", "nodiscard"]).arg(&image).status();
        assert!(status.unwrap().success());
        let temp = tempfile::tempdir().unwrap();
        as_root("mount", &["-o", "loop", image.to_str().unwrap(), temp.path().to_str().unwrap()])?;
        Some(Self { temp: Arc::new(temp), image: Some((image, under)) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Has every write wait, as on a drive that does not answer, until what comes back is dropped.
    pub(crate) fn freeze(&self) -> Option<Frozen> {
        as_root("fsfreeze", &["--freeze", self.path().to_str().unwrap()])?;
        Some(Frozen(self.path().to_owned()))
    }

    /// Takes all that an [`Self::ext4_on_less`] really has: from now on it fails whatever it has no place for yet.
    pub(crate) fn exhaust(&self) {
        let Some((_, Under::Disk(under))) = &self.image else { panic!("a disk on another one") };
        match under.image {
            Some(_) => under.exhaust(),
            None => drop(under.fill()),
        }
    }

    /// Has every read of a process wait, as on a drive that does not answer, until what comes back is dropped.
    pub(crate) fn hold_reads(&self, pid: u32) -> Option<HeldReads> {
        if !Path::new(THROTTLED).exists() {
            pass_over("reads are held by the blkio controller of control groups, version 1");
            return None;
        }
        let device = fs::metadata(self.path()).unwrap().dev();
        let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let held = HeldReads { device, group: Path::new(THROTTLED).join(format!("ouro-test-{pid}")) };
        fs::create_dir(&held.group).unwrap();
        held.limit(1);
        fs::write(held.group.join("cgroup.procs"), pid.to_string()).unwrap();
        Some(held)
    }

    /// Takes all space that is left, until what comes back is removed.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        loop {
            match std::io::Write::write(&mut file, &[1; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return path,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives a tmpfs more room.
    pub(crate) fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        let status = Command::new("mount").args(["-o", &size]).arg(self.path()).status().unwrap();
        assert!(status.success());
    }

    /// The drive loses all beyond this: reads there fail with EIO.
    pub(crate) fn lose_beyond(&self, bytes: u64) {
        let (image, _) = self.image.as_ref().expect("a disk with an image");
        OpenOptions::new().write(true).open(image).unwrap().set_len(bytes).unwrap();
        // What the kernel keeps of the drive would hide it.
        fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    }
}

/// A file system whose writes wait.
pub(crate) struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0).status());
    }
}

/// Where groups are whose reads of a device can be slowed down.
const THROTTLED: &str = "/sys/fs/cgroup/blkio";

/// A process whose reads of a device wait.
pub(crate) struct HeldReads {
    device: String,
    group: PathBuf,
}

impl HeldReads {
    /// Bytes a second; 0: no limit, and what waits goes on.
    fn limit(&self, bytes: u64) {
        let limit = format!("{} {bytes}", self.device);
        fs::write(self.group.join("blkio.throttle.read_bps_device"), limit).unwrap();
    }
}

impl Drop for HeldReads {
    fn drop(&mut self) {
        self.limit(0);
        let processes = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            drop(fs::write(Path::new(THROTTLED).join("cgroup.procs"), process));
        }
        drop(fs::remove_dir(&self.group));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server of a test that failed may still be there.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
        if let Some((_, Under::Disk(under))) = self.image.take() {
            drop(under);
        }
    }
}
