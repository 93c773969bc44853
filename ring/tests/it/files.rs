//! Writes, reads and syncs of files.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use ring::{BlockPool, Blocks, Completion, Fd, HugePages, Registered, Ring, RingConfig, WriteDurability};

use crate::support::{in_each_mode, turn_once, turn_until};

fn direct_file(directory: &tempfile::TempDir) -> Fd {
    let path = directory.path().join("blocks");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let direct = options.clone().custom_flags(libc::O_DIRECT).open(&path);
    // tmpfs before Linux 6.6 has no direct I/O; the rest of the test holds there too.
    Fd::from(direct.or_else(|_| options.open(&path)).unwrap())
}

fn blocks(bytes: usize, fill: u8) -> Blocks {
    let mut blocks = Blocks::zeroed(bytes, HugePages::No).unwrap();
    blocks.fill(fill);
    blocks
}

#[test]
fn what_is_written_is_read_back() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = direct_file(&directory);
        let frozen = blocks(16_384, 0xAB).freeze();
        let copy = frozen.clone();
        ring.write_at(&file, frozen, 4096..12_288, 8192, WriteDurability::Dsync, 1);
        match turn_once(&mut ring) {
            Completion::Wrote { token: 1, buffer, result } => {
                assert_eq!(result.unwrap(), 8192);
                assert!(buffer.try_thaw().is_none());
            }
            other => panic!("{other:?}"),
        }
        let buffer = copy.try_thaw().expect("the operation has returned its handle");
        ring.sync_data(&file, 2);
        ring.sync_all(&file, 3);
        for completion in turn_until(&mut ring, 2) {
            assert!(matches!(completion, Completion::Synced { result: Ok(()), .. }), "{completion:?}");
        }
        ring.read_at(&file, buffer, 16_384, 4096, 4);
        match turn_once(&mut ring) {
            Completion::Read { token: 4, buffer, result } => {
                assert_eq!(result.unwrap(), 12_288, "short at the end of the file");
                assert!(buffer[..4096].iter().all(|byte| *byte == 0));
                assert!(buffer[4096..12_288].iter().all(|byte| *byte == 0xAB));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn space_is_taken_ahead_and_what_was_written_stays() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 100]).unwrap();
    let fd = Fd::from(file.try_clone().unwrap());
    ring.allocate(&fd, 0, 1 << 20, 9);
    match turn_once(&mut ring) {
        Completion::Allocated { token: 9, result } => result.unwrap(),
        other => panic!("{other:?}"),
    }
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.len(), 1 << 20);
    assert!(
        std::os::unix::fs::MetadataExt::blocks(&metadata) >= (1 << 20) / 512,
        "on the file system, not only in name"
    );
    let mut byte = [0];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, 99).unwrap();
    assert_eq!(byte, [7]);
}

#[test]
fn a_short_read_goes_on_in_the_same_buffer() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1; 100]).unwrap();
    let fd = Fd::from(file.try_clone().unwrap());
    ring.read_at(&fd, blocks(4096, 0), 200, 0, 1);
    let Completion::Read { buffer, result: Ok(100), .. } = turn_once(&mut ring) else { panic!("100 bytes") };
    file.write_all(&[2; 100]).unwrap();
    ring.read_range_at(&fd, buffer, 100..200, 100, 1);
    let Completion::Read { buffer, result: Ok(100), .. } = turn_once(&mut ring) else { panic!("100 bytes") };
    assert_eq!((buffer[99], buffer[100], buffer[199], buffer[200]), (1, 2, 2, 0));
}

#[test]
fn errors_of_files_come_with_the_buffer() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let readonly = Fd::from(File::open("/proc/self/exe").unwrap());
    ring.write_at(&readonly, blocks(4096, 1).freeze(), 0..4096, 0, WriteDurability::None, 1);
    match turn_once(&mut ring) {
        Completion::Wrote { buffer, result, .. } => {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
            assert_eq!(buffer[0], 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn registered_pools_read_and_write_the_same_bytes() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let first = BlockPool::new(8192, 4, HugePages::No).unwrap();
        let second = BlockPool::new(4096, 4, HugePages::Yes).unwrap();
        for pool in [&first, &second, &first] {
            match ring.register_blocks(pool) {
                Registered::Yes => {}
                Registered::No(error) => assert!(matches!(error, ring::RingError::Memory { .. }), "{error}"),
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let file = direct_file(&directory);
        for (token, pool) in (0u8..).zip([&first, &second]) {
            let kept: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
            let mut buffer = pool.take().unwrap();
            drop(kept);
            buffer.fill(token + 10);
            let offset = u64::from(token) * 8192;
            ring.write_at(&file, buffer.freeze(), 0..4096, offset, WriteDurability::Dsync, 1);
            let Completion::Wrote { buffer, result: Ok(4096), .. } = turn_once(&mut ring) else {
                panic!("write")
            };
            drop(buffer);
            ring.read_at(&file, pool.take().unwrap(), 4096, offset, 2);
            let Completion::Read { buffer, result: Ok(4096), .. } = turn_once(&mut ring) else {
                panic!("read")
            };
            assert!(buffer[..4096].iter().all(|byte| *byte == token + 10));
        }
        assert_eq!((first.free(), second.free()), (4, 4));
    });
}

#[test]
fn many_writes_in_flight_land_where_they_belong() {
    let mut ring = Ring::new(&RingConfig { entries: 8, cq_entries: 16, ..RingConfig::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = direct_file(&directory);
    let pool = BlockPool::new(4096, 100, HugePages::No).unwrap();
    for token in 0..100u8 {
        let mut buffer = pool.take().unwrap();
        buffer.fill(token);
        let offset = u64::from(token) * 4096;
        ring.write_at(&file, buffer.freeze(), 0..4096, offset, WriteDurability::None, u64::from(token));
    }
    let mut written = [false; 100];
    for completion in turn_until(&mut ring, 100) {
        let Completion::Wrote { token, buffer, result: Ok(4096) } = completion else {
            panic!("{completion:?}")
        };
        assert_eq!(u64::from(buffer[0]), token);
        assert!(!std::mem::replace(&mut written[usize::try_from(token).unwrap()], true));
    }
    assert_eq!(pool.free(), 100);
    for token in 0..100u8 {
        ring.read_at(&file, pool.take().unwrap(), 4096, u64::from(token) * 4096, u64::from(token));
    }
    for completion in turn_until(&mut ring, 100) {
        let Completion::Read { token, buffer, result: Ok(4096) } = completion else {
            panic!("{completion:?}")
        };
        assert!(buffer.iter().all(|byte| u64::from(*byte) == token));
    }
}

#[test]
fn a_file_is_removed_by_its_path_and_one_that_is_not_there_is_an_error() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap();
        let name = || std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        ring.remove(name(), 1);
        match turn_once(&mut ring) {
            Completion::Synced { token: 1, result } => result.unwrap(),
            other => panic!("{other:?}"),
        }
        assert!(!path.exists());
        ring.remove(name(), 2);
        match turn_once(&mut ring) {
            Completion::Synced { token: 2, result } => {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOENT));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_file_is_made_or_opened_as_it_is_and_gets_the_length_it_is_told() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let name = || std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let length = || std::fs::metadata(&path).unwrap().len();
        let create = |ring: &mut Ring, token| {
            ring.create(name(), 0o600, token);
            match turn_once(ring) {
                Completion::Created { token: of, result } if of == token => result,
                other => panic!("{other:?}"),
            }
        };
        let file = create(&mut ring, 1).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for bytes in [1 << 20, 4096] {
            ring.truncate(&file, bytes, 2);
            match turn_once(&mut ring) {
                Completion::Synced { token: 2, result: Ok(()) } => assert_eq!(length(), bytes),
                Completion::Synced { token: 2, result: Err(error) } => {
                    assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "a kernel before 6.9");
                }
                other => panic!("{other:?}"),
            }
        }
        std::fs::write(&path, [7; 100]).unwrap();
        create(&mut ring, 3).unwrap();
        assert_eq!(length(), 100, "what is there stays");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(create(&mut ring, 4).unwrap_err().raw_os_error(), Some(libc::EISDIR));
    });
}
