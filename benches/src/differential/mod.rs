//! Random requests to two servers at once: replies and what is left in the end must be the same, byte for byte.
//!
//! A session is a fresh connection to two emptied servers, in RESP2 or RESP3, and a sequence of requests, sent in
//! pipelines that are cut into pieces anywhere; one in three is that of a user who may not do everything, one in four that
//! of clients that cache what they read. [`generate`] draws requests, `user` rules of users, [`tracking`] what caching
//! clients ask for, `caches` plays them, `receiver` is told in their place, `ids` knows each server's numbers of them and
//! `told` what they were told, [`compare`] knows what need not be the same and why, `wire` sends and reads, and a session
//! that shows a difference is made small by `shrink`.

mod caches;
pub mod compare;
pub mod generate;
mod ids;
mod receiver;
mod shrink;
mod told;
pub mod tracking;
mod user;
mod wire;

use std::path::PathBuf;

use anyhow::Result;

use self::caches::Caches;
use self::compare::same;
use self::generate::Generator;
use self::tracking::Tracking;
use self::wire::Wire;
use crate::rng::Rng;

/// A request as its words.
pub type Words = Vec<Vec<u8>>;

/// Requests of one session, or a few more.
const SESSION_REQUESTS: usize = 200;
/// Requests of one pipeline at most.
const PIPELINE_REQUESTS_MAX: usize = 40;
/// One session in so many is that of a user with drawn rules.
const USER_ONE_IN: u64 = 3;
/// One session in so many is that of clients that cache.
const TRACKING_ONE_IN: u64 = 4;
/// Bytes of a word that a difference shows.
const SHOWN_BYTES_MAX: usize = 100;
/// Databases that sessions use.
pub(crate) const DATABASES: [u8; 4] = [0, 1, 2, 15];

/// Whom to compare, and how much.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Socket of the server under test.
    pub ours: PathBuf,
    /// Socket of the one it is to be like.
    pub theirs: PathBuf,
    /// Requests to send, about.
    pub commands: u64,
    /// Seed of all that is random.
    pub seed: u64,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions.
    pub sessions: u64,
    /// Requests and their replies.
    pub commands: u64,
    /// Keys whose value and end were compared after a session.
    pub keys: u64,
    /// Keys that clients were told of.
    pub told: u64,
    /// What clients were told in the place of others.
    pub redirected: u64,
    /// How often a client was told that the one told in its place is gone.
    pub broken: u64,
}

/// A session that the two answered differently.
#[derive(Clone, Debug)]
pub struct Session {
    /// Version of the protocol, 2 or 3.
    pub protocol: u8,
    /// The request that makes the user whose session it is, where it is not that of the default user.
    pub set_user: Option<Words>,
    /// What its clients that cache ask for, where they do.
    pub tracking: Option<Tracking>,
    /// The requests.
    pub requests: Vec<Words>,
}

/// Where two servers differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Number of the session, which with the seed draws it again.
    pub session: u64,
    /// The smallest session found that shows it.
    pub smallest: Session,
    /// What was compared last: a request, or a question about what is left.
    pub question: Words,
    /// Our reply.
    pub ours: Vec<u8>,
    /// The other one.
    pub theirs: Vec<u8>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |words: &Words| {
            let words = words.iter().map(|word| {
                let (shown, rest) = word.split_at(word.len().min(SHOWN_BYTES_MAX));
                let more = if rest.is_empty() { "" } else { "..." };
                format!("\"{}\"{more}", shown.escape_ascii())
            });
            words.collect::<Vec<_>>().join(" ")
        };
        writeln!(f, "session {} (RESP{}), at its smallest:", self.session, self.smallest.protocol)?;
        if let Some(tracking) = &self.smallest.tracking {
            if let Some(receiver) = &tracking.receiver {
                writeln!(f, "  {}", line(receiver))?;
            }
            writeln!(f, "  reader: {}", line(&tracking.reader))?;
            writeln!(f, "  {}", line(&tracking.main))?;
        }
        for request in self.smallest.set_user.iter().chain(&self.smallest.requests) {
            writeln!(f, "  {}", line(request))?;
        }
        writeln!(f, "asked:  {}", line(&self.question))?;
        writeln!(f, "ours:   {}", self.ours.escape_ascii())?;
        write!(f, "theirs: {}", self.theirs.escape_ascii())
    }
}

/// What came of a comparison: the tally, and the first difference if there is one.
pub type Outcome = (Tally, Option<Box<Difference>>);

/// Compares until so many requests were sent, or the two differ.
///
/// # Errors
/// When a server closes, does not answer in time, or answers what is no reply.
pub fn run(comparison: &Comparison, mut progress: impl FnMut(&Tally)) -> Result<Outcome> {
    let mut tally = Tally::default();
    while tally.commands < comparison.commands {
        let mut rng = Rng::new(comparison.seed, tally.sessions);
        let mut protocol = if rng.one_in(2) { 2 } else { 3 };
        let set_user = rng.one_in(USER_ONE_IN).then(|| user::set_user(&mut rng));
        let tracking = rng.one_in(TRACKING_ONE_IN).then(|| Tracking::draw(&mut rng));
        if tracking.as_ref().is_some_and(|tracking| tracking.receiver.is_none()) {
            // The old protocol has no way to tell a client on the connection that reads.
            protocol = 3;
        }
        let mut requests = Vec::new();
        while requests.len() < SESSION_REQUESTS {
            match &tracking {
                Some(tracking) => requests.extend(tracking.requests(&mut rng)),
                None => requests.push(Generator.request(&mut rng)),
            }
        }
        let session = Session { protocol, set_user, tracking, requests };
        if let Some(first) = play(comparison, &session, Some(&mut rng), &mut tally)? {
            let found = shrink::shrink(session, first, |session| {
                play(comparison, session, None, &mut Tally::default())
            })?;
            let (smallest, Mismatch { question, ours, theirs }) = found;
            let session = tally.sessions;
            return Ok((tally, Some(Box::new(Difference { session, smallest, question, ours, theirs }))));
        }
        tally.sessions += 1;
        progress(&tally);
    }
    Ok((tally, None))
}

/// A question that was answered in two ways.
#[derive(Clone, Debug)]
struct Mismatch {
    question: Words,
    ours: Vec<u8>,
    theirs: Vec<u8>,
}

/// Plays a session to both. Without a generator of numbers each request is sent whole and alone.
fn play(
    comparison: &Comparison,
    session: &Session,
    rng: Option<&mut Rng>,
    tally: &mut Tally,
) -> Result<Option<Mismatch>> {
    let mut admins = [Wire::connect(&comparison.ours)?, Wire::connect(&comparison.theirs)?];
    for wire in &mut admins {
        wire.ask(&words(&["FLUSHALL"]))?;
        wire.ask(&words(&["HELLO", &session.protocol.to_string()]))?;
    }
    let mut mains = [admins[0].id()?, admins[1].id()?];
    let mut users = None;
    if let Some(set_user) = &session.set_user {
        // Who asks what is left in the end goes on as the default user.
        let [our, their] = [admins[0].ask(set_user)?, admins[1].ask(set_user)?];
        if our != their {
            return Ok(Some(Mismatch { question: set_user.clone(), ours: our, theirs: their }));
        }
        let mut both = [Wire::connect(&comparison.ours)?, Wire::connect(&comparison.theirs)?];
        for (wire, main) in both.iter_mut().zip(&mut mains) {
            *main = wire.id()?;
            wire.ask(&user::login(session.protocol))?;
        }
        users = Some(both);
    }
    let [ours, theirs] = users.as_mut().unwrap_or(&mut admins);
    let mismatch = match &session.tracking {
        None => requests(ours, theirs, session, rng, None, tally)?,
        Some(tracking) => {
            let mut caches = Caches::begin(comparison, tracking, mains)?;
            let mut mismatch = caches.set_up(ours, theirs)?;
            if mismatch.is_none() {
                mismatch = requests(ours, theirs, session, rng, Some(&mut caches), tally)?;
            }
            caches.end()?;
            mismatch
        }
    };
    let [ours, theirs] = &mut admins;
    if mismatch.is_some() { Ok(mismatch) } else { what_is_left(ours, theirs, tally) }
}

/// Plays the requests of a session; where clients cache, compares what they are told after each pipeline.
fn requests(
    ours: &mut Wire,
    theirs: &mut Wire,
    session: &Session,
    mut rng: Option<&mut Rng>,
    mut caches: Option<&mut Caches>,
    tally: &mut Tally,
) -> Result<Option<Mismatch>> {
    let mut rest = &session.requests[..];
    while !rest.is_empty() {
        let most = rest.len().min(PIPELINE_REQUESTS_MAX) as u64;
        let mut len = usize::try_from(rng.as_deref_mut().map_or(1, |rng| rng.between(1, most)))?;
        if let Some(caches) = caches.as_deref_mut() {
            len = tracking::stretch(rest, len);
            caches.read_all()?;
        }
        let (pipeline, after) = rest.split_at(len);
        rest = after;
        let mismatch = match caches.as_deref_mut() {
            Some(caches) if receiver::is_step(&pipeline[0]) => caches.step(&pipeline[0])?,
            _ => exchange(ours, theirs, pipeline, rng.as_deref_mut(), caches.as_deref_mut(), tally)?,
        };
        if mismatch.is_some() {
            return Ok(mismatch);
        }
        if let Some(caches) = caches.as_deref_mut() {
            let mismatch = caches.compare_told(ours, theirs, tally)?;
            if mismatch.is_some() {
                return Ok(mismatch);
            }
        }
    }
    Ok(None)
}

/// Sends a pipeline to both and compares the replies.
fn exchange(
    ours: &mut Wire,
    theirs: &mut Wire,
    pipeline: &[Words],
    mut rng: Option<&mut Rng>,
    mut caches: Option<&mut Caches>,
    tally: &mut Tally,
) -> Result<Option<Mismatch>> {
    match &caches {
        Some(caches) => {
            let [our, their] = caches.filled(pipeline);
            ours.send(&our, rng.as_deref_mut())?;
            theirs.send(&their, rng)?;
        }
        None => {
            ours.send(pipeline, rng.as_deref_mut())?;
            theirs.send(pipeline, rng)?;
        }
    }
    for request in pipeline {
        tally.commands += 1;
        let [mut our, mut their] = [ours.reply()?, theirs.reply()?];
        if let Some(caches) = &caches
            && tracking::tells_id(request)
        {
            [our, their] = caches.named([our, their]);
        }
        if !same(request, &our, &their) {
            return Ok(Some(Mismatch { question: request.clone(), ours: our, theirs: their }));
        }
        if let Some(caches) = caches.as_deref_mut() {
            let mismatch = caches.follow(request, &their)?;
            if mismatch.is_some() {
                return Ok(mismatch);
            }
        }
    }
    Ok(None)
}

/// Compares all keys of all databases.
fn what_is_left(ours: &mut Wire, theirs: &mut Wire, tally: &mut Tally) -> Result<Option<Mismatch>> {
    let mut ask = |question: Words| -> Result<(Vec<u8>, Option<Mismatch>)> {
        let (our, their) = (ours.ask(&question)?, theirs.ask(&question)?);
        let differs = !same(&question, &our, &their);
        let mismatch = differs.then(|| Mismatch { question, ours: our.clone(), theirs: their });
        Ok((our, mismatch))
    };
    for db in DATABASES {
        let mut keys = Vec::new();
        for question in [words(&["SELECT", &db.to_string()]), words(&["DBSIZE"]), words(&["KEYS", "*"])] {
            let (reply, mismatch) = ask(question)?;
            if mismatch.is_some() {
                return Ok(mismatch);
            }
            keys = compare::elements(&reply);
        }
        for key in keys {
            tally.keys += 1;
            for name in ["GET", "PTTL"] {
                let (_, mismatch) = ask(vec![name.as_bytes().to_vec(), key.clone()])?;
                if mismatch.is_some() {
                    return Ok(mismatch);
                }
            }
        }
    }
    Ok(None)
}

fn words(texts: &[&str]) -> Words {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
