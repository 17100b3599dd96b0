//! The journal of a study that runs: what came of each member, appended as members end, so that
//! nothing that was finished is lost whenever and however the process ends.
//!
//! ```text
//! header   magic, format, hash of the study, check
//! frame    length of the payload, number of the member, payload, check     one a member
//! ```
//!
//! Numbers are little-endian; a check is the beginning of the BLAKE3 hash of what it closes. A frame
//! is written whole; what a crash left of the last one is cut off when the journal is opened. Of a
//! member that is there twice, the first record counts.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// What a journal begins with.
const MAGIC: [u8; 8] = *b"homarusj";
/// Version of the frames.
const FORMAT: u32 = 1;
/// Bytes of a check.
const CHECK: usize = 8;
/// Bytes of the header.
const HEADER: usize = MAGIC.len() + 4 + 32 + CHECK;
/// Bytes of a frame before its payload.
const FRAME: usize = 4 + 8;

/// Where a journal lies: a file, or in tests something that fails like one.
pub trait Disk: Read + Seek + Write {
    /// Cuts it to a length.
    ///
    /// # Errors
    /// The disk refuses.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Brings it to the disk, so that a crash of the machine cannot undo it.
    ///
    /// # Errors
    /// The disk refuses.
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is no journal, or that of another study.
    #[error("it is not the journal of this study")]
    Foreign,
    /// Another process writes it.
    #[error("another process is running this study")]
    Taken,
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// A journal that is open for writing.
#[derive(Debug)]
pub struct Journal<D = File> {
    disk: D,
    /// Where the record of each member begins; 0: there is none.
    offsets: Vec<u64>,
    done: u64,
    /// Up to here all frames are whole.
    end: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the journal of the study with a hash, of so many members, or begins it. It stays locked
    /// until it is dropped.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, hash: [u8; 32], members: u64) -> Result<Self, OpenError> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Taken),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Journal::on(file, hash, members)
    }
}

impl<D: Disk> Journal<D> {
    /// As [`Journal::open`], on a disk that is there.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn on(mut disk: D, hash: [u8; 32], members: u64) -> Result<Self, OpenError> {
        let members = usize::try_from(members).map_err(io::Error::other)?;
        let mut journal = {
            let found = beginning(&mut disk)?;
            let header = header(hash);
            if found == header {
                Journal::new(disk, members)
            } else if header.starts_with(&found) {
                // It was killed while it began, or never began.
                disk.cut(0)?;
                disk.seek(SeekFrom::Start(0))?;
                disk.write_all(&header)?;
                disk.sync()?;
                return Ok(Journal::new(disk, members));
            } else {
                return Err(OpenError::Foreign);
            }
        };
        journal.recover()?;
        Ok(journal)
    }

    fn new(disk: D, members: usize) -> Self {
        Journal {
            disk,
            offsets: vec![0; members],
            done: 0,
            end: HEADER as u64,
            buffer: Vec::new(),
        }
    }

    /// Finds the frames, and cuts off what follows the last whole one.
    fn recover(&mut self) -> io::Result<()> {
        self.disk.seek(SeekFrom::Start(self.end))?;
        let mut reader = BufReader::with_capacity(1 << 16, &mut self.disk);
        let mut frame = Vec::new();
        while read_frame(&mut reader, &mut frame)? {
            let member = member_of(&frame);
            let Some(offset) = usize::try_from(member)
                .ok()
                .and_then(|member| self.offsets.get_mut(member))
            else {
                break;
            };
            if *offset == 0 {
                *offset = self.end;
                self.done += 1;
            }
            self.end += frame.len() as u64;
        }
        self.disk.cut(self.end)
    }

    /// Whether a member has a record.
    pub fn has(&self, member: u64) -> bool {
        self.offset(member).is_some()
    }

    /// Members that have a record.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Size (bytes).
    pub fn bytes(&self) -> u64 {
        self.end
    }

    fn offset(&self, member: u64) -> Option<u64> {
        let offset = self.offsets.get(usize::try_from(member).ok()?)?;
        (*offset > 0).then_some(*offset)
    }

    /// Appends records: members and payloads. None that was appended before is harmed if the disk
    /// refuses these.
    ///
    /// # Errors
    /// The disk refuses: it is full, for one.
    pub fn append(&mut self, records: &[(u64, Vec<u8>)]) -> io::Result<()> {
        self.buffer.clear();
        for (member, payload) in records {
            let from = self.buffer.len();
            let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
            self.buffer.extend(len.to_le_bytes());
            self.buffer.extend(member.to_le_bytes());
            self.buffer.extend(payload);
            let check = check(&self.buffer[from..]);
            self.buffer.extend(check);
        }
        let written = self
            .disk
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.disk.write_all(&self.buffer));
        if let Err(error) = written {
            // What is half written is cut off now or when the journal is opened next.
            let _ = self.disk.cut(self.end);
            return Err(error);
        }
        for (member, payload) in records {
            if let Some(offset) = self.offsets.get_mut(*member as usize)
                && *offset == 0
            {
                *offset = self.end;
                self.done += 1;
            }
            self.end += (FRAME + payload.len() + CHECK) as u64;
        }
        Ok(())
    }

    /// Brings all records to the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> io::Result<()> {
        self.disk.sync()
    }

    /// The payload of a member, if it has a record.
    ///
    /// # Errors
    /// The disk fails, or what it gives is not what was written.
    pub fn read(&mut self, member: u64) -> io::Result<Option<&[u8]>> {
        let Some(offset) = self.offset(member) else {
            return Ok(None);
        };
        self.disk.seek(SeekFrom::Start(offset))?;
        if !read_frame(&mut self.disk, &mut self.buffer)? || member_of(&self.buffer) != member {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("the record of member {member} in the journal is damaged"),
            ));
        }
        Ok(Some(payload_of(&self.buffer)))
    }
}

/// The header of the study with a hash.
fn header(hash: [u8; 32]) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(FORMAT.to_le_bytes());
    header.extend(hash);
    let check = check(&header);
    header.extend(check);
    header
}

/// As much of a header as there is.
fn beginning(disk: &mut impl Disk) -> io::Result<Vec<u8>> {
    let mut found = Vec::with_capacity(HEADER);
    disk.seek(SeekFrom::Start(0))?;
    disk.take(HEADER as u64).read_to_end(&mut found)?;
    Ok(found)
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK]);
    check
}

/// Reads a frame; `false`: there is none that is whole.
fn read_frame(reader: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    frame.clear();
    if reader.take(FRAME as u64).read_to_end(frame)? < FRAME {
        return Ok(false);
    }
    let len = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]);
    let rest = u64::from(len) + CHECK as u64;
    if (reader.take(rest).read_to_end(frame)? as u64) < rest {
        return Ok(false);
    }
    let (closed, found) = frame.split_at(frame.len() - CHECK);
    Ok(check(closed) == found)
}

/// The member of a whole frame.
fn member_of(frame: &[u8]) -> u64 {
    let mut member = [0; 8];
    member.copy_from_slice(&frame[4..FRAME]);
    u64::from_le_bytes(member)
}

/// The payload of a whole frame.
fn payload_of(frame: &[u8]) -> &[u8] {
    &frame[FRAME..frame.len() - CHECK]
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const HASH: [u8; 32] = [7; 32];

    /// A disk in memory that holds so many bytes.
    struct Small {
        content: Cursor<Vec<u8>>,
        holds: usize,
    }

    impl Small {
        fn new(content: &[u8], holds: usize) -> Self {
            Small {
                content: Cursor::new(content.to_vec()),
                holds,
            }
        }
    }

    impl Read for Small {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.content.read(bytes)
        }
    }

    impl Seek for Small {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.content.seek(to)
        }
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let free = self.holds.saturating_sub(self.content.position() as usize);
            match bytes.len().min(free) {
                0 if !bytes.is_empty() => Err(ErrorKind::StorageFull.into()),
                n => self.content.write(&bytes[..n]),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for Small {
        fn cut(&mut self, len: u64) -> io::Result<()> {
            self.content.get_mut().truncate(len as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn open(content: &[u8], holds: usize) -> Journal<Small> {
        Journal::on(Small::new(content, holds), HASH, 10).expect("a journal")
    }

    fn payload(member: u64) -> Vec<u8> {
        vec![member as u8 + 1; 3 * member as usize]
    }

    /// A journal of these members.
    fn written(members: &[u64]) -> Vec<u8> {
        let mut journal = open(&[], usize::MAX);
        let records: Vec<_> = members.iter().map(|m| (*m, payload(*m))).collect();
        journal.append(&records).expect("room");
        journal.disk.content.into_inner()
    }

    fn members(journal: &mut Journal<Small>) -> Vec<u64> {
        let mut found = Vec::new();
        for member in 0..10 {
            if let Some(read) = journal.read(member).expect("it is whole") {
                assert_eq!(read, payload(member));
                found.push(member);
            }
        }
        found
    }

    #[test]
    fn what_was_written_is_read_whatever_the_order() {
        let mut journal = open(&written(&[4, 0, 9]), usize::MAX);
        assert_eq!(journal.done(), 3);
        assert_eq!(members(&mut journal), [0, 4, 9]);
        assert!(journal.has(4) && !journal.has(5) && !journal.has(10));
        // Reading between two writes moves nothing.
        journal.append(&[(5, payload(5))]).expect("room");
        assert_eq!(members(&mut journal), [0, 4, 5, 9]);
    }

    #[test]
    fn a_cut_at_any_byte_loses_what_follows_and_nothing_else() {
        let whole = written(&[4, 0, 9]);
        let ends = [4, 0, 9].map(|m| FRAME + payload(m).len() + CHECK);
        for len in 0..=whole.len() {
            let mut journal = open(&whole[..len], usize::MAX);
            let (mut end, mut expected) = (HEADER, vec![]);
            for (frame, member) in ends.iter().zip([4, 0, 9]) {
                end += frame;
                if end <= len {
                    expected.push(member);
                }
            }
            expected.sort_unstable();
            assert_eq!(members(&mut journal), expected, "cut to {len} bytes");
            // And it goes on from there.
            journal.append(&[(7, payload(7))]).expect("room");
            let content = journal.disk.content.into_inner();
            assert!(open(&content, usize::MAX).has(7));
        }
    }

    #[test]
    fn an_altered_byte_ends_what_is_trusted() {
        let whole = written(&[4, 0, 9]);
        for byte in HEADER..whole.len() {
            let mut altered = whole.clone();
            altered[byte] ^= 1;
            assert!(open(&altered, usize::MAX).done() < 3, "byte {byte}");
        }
    }

    #[test]
    fn another_study_is_refused() {
        let whole = written(&[4]);
        for byte in 0..HEADER {
            let mut altered = whole.clone();
            altered[byte] ^= 1;
            let refused = Journal::on(Small::new(&altered, usize::MAX), HASH, 10);
            assert!(matches!(refused, Err(OpenError::Foreign)), "byte {byte}");
        }
        let refused = Journal::on(Small::new(&whole, usize::MAX), [8; 32], 10);
        assert!(matches!(refused, Err(OpenError::Foreign)));
    }

    #[test]
    fn a_full_disk_keeps_what_is_there() {
        let room = written(&[4, 0]).len();
        for holds in room..written(&[4, 0, 9]).len() {
            let mut journal = open(&[], holds);
            journal
                .append(&[(4, payload(4)), (0, payload(0))])
                .expect("room");
            let refused = journal.append(&[(9, payload(9))]);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::StorageFull);
            assert_eq!((journal.done(), journal.bytes()), (2, room as u64));
            assert_eq!(members(&mut journal), [0, 4]);
            // With room again, the same journal goes on.
            journal.disk.holds = usize::MAX;
            journal.append(&[(9, payload(9))]).expect("room");
            assert_eq!(members(&mut journal), [0, 4, 9]);
        }
    }

    #[test]
    fn of_two_records_the_first_counts() {
        let mut journal = open(&[], usize::MAX);
        journal
            .append(&[(1, payload(1)), (1, vec![9])])
            .expect("room");
        assert_eq!((journal.done(), members(&mut journal)), (1, vec![1]));
        let content = journal.disk.content.into_inner();
        assert_eq!(members(&mut open(&content, usize::MAX)), [1]);
    }
}
