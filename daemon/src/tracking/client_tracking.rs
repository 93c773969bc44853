//! What one client wants to be told of the keys that it reads.

/// Which keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackingMode {
    /// All that it reads.
    #[default]
    All,
    /// Those that it reads with the request after CLIENT CACHING YES.
    OptIn,
    /// All that it reads but with the request after CLIENT CACHING NO.
    OptOut,
    /// All that begin with one of its prefixes, whoever reads them.
    Broadcast,
}

/// What a client with CLIENT TRACKING ON has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTracking {
    /// Which keys it is told of.
    pub mode: TrackingMode,
    /// It is not told of what it writes itself.
    pub no_loop: bool,
    /// The client that is told in its place, by id.
    pub redirect: Option<u64>,
    /// That client is gone.
    pub is_redirect_broken: bool,
    /// With [`TrackingMode::Broadcast`]: not empty, sorted, and none begins with another.
    pub prefixes: Vec<Box<[u8]>>,
    /// CLIENT CACHING was called: the next request is the exception.
    pub is_caching_given: bool,
}

impl ClientTracking {
    /// Whether the keys of a reading request are to be remembered.
    #[must_use]
    pub const fn remembers(&self) -> bool {
        match self.mode {
            TrackingMode::All => true,
            TrackingMode::OptIn => self.is_caching_given,
            TrackingMode::OptOut => !self.is_caching_given,
            TrackingMode::Broadcast => false,
        }
    }
}
