//! A drive whose power can be cut: an ext4 image on a loop device under the store's directory.
//!
//! The cut is the file system's own shutdown without a flush of its journal (`FS_IOC_SHUTDOWN`, `NOLOGFLUSH`), which
//! `xfs_io` does for ext4 as for XFS: from then on nothing reaches the image, and what was not synced is gone when it is
//! mounted again. The drive itself keeps all that it was given: sectors are neither torn nor reordered, which is the
//! simulator's part.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::limits::{POLL_INTERVAL, STOP_TIME_MAX};

/// A mounted image; unmounted when dropped.
#[derive(Debug)]
pub struct PowerSwitch {
    image: PathBuf,
    mounted_at: PathBuf,
}

impl PowerSwitch {
    /// Makes an image of so many MiB and mounts it at a directory, which is made. Takes root and a loop device.
    ///
    /// # Errors
    /// When that cannot be done here.
    pub fn install(image: &Path, mib: u64, at: &Path) -> Result<Self> {
        fs::create_dir_all(at).context("cannot make the directory to mount at")?;
        fs::File::create(image)?.set_len(mib << 20).context("cannot make the image")?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(image))?;
        let switch = Self { image: image.to_owned(), mounted_at: at.to_owned() };
        switch.mount()?;
        Ok(switch)
    }

    /// Cuts the power: nothing reaches the image any more.
    ///
    /// # Errors
    /// When `xfs_io` is not there (package xfsprogs), or fails.
    pub fn cut(&self) -> Result<()> {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mounted_at))
    }

    /// Power is back: the image is mounted anew. Whoever used it must be gone; what it had in flight may take a moment.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn restore(&self) -> Result<()> {
        let until = Instant::now() + STOP_TIME_MAX;
        while let Err(error) = run(Command::new("umount").arg(&self.mounted_at)) {
            if Instant::now() > until {
                return Err(error);
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.mount()
    }

    fn mount(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mounted_at))
    }
}

impl Drop for PowerSwitch {
    fn drop(&mut self) {
        // Lazily: a server of a run that failed may still be there.
        drop(Command::new("umount").arg("-l").arg(&self.mounted_at).output());
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| {
        format!("cannot run {command:?}; it takes mount, umount, mkfs.ext4 and xfs_io (Debian's e2fsprogs, xfsprogs)")
    })?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
