//! What a command does, for people and for the hints of redis-cli: the parts of COMMAND DOCS.

/// Documentation of one command.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// One line.
    pub summary: &'static str,
    /// Version of Redis that first had it.
    pub since: &'static str,
    /// Which kind of command it is.
    pub group: &'static str,
    /// Cost in time.
    pub complexity: &'static str,
    /// Version that deprecated it, and what to use instead.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// What its arguments are.
    pub arguments: &'static [Argument],
}

impl Doc {
    /// Documentation without arguments.
    #[must_use]
    pub const fn new(
        group: &'static str,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { summary, since, group, complexity, deprecated: None, arguments: &[] }
    }

    /// The same with arguments.
    #[must_use]
    pub const fn with(mut self, arguments: &'static [Argument]) -> Self {
        self.arguments = arguments;
        self
    }

    /// The same, deprecated since a version in favour of something.
    #[must_use]
    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some((since, replaced_by));
        self
    }
}

/// One argument, or a group of them.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is, by Redis's names: `key`, `string`, `integer`, `oneof`, ...
    pub kind: &'static str,
    /// The word that goes before it, or that it is.
    pub token: Option<&'static str>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// What a group consists of.
    pub parts: &'static [Self],
}

impl Argument {
    const fn of(name: &'static str, kind: &'static str) -> Self {
        Self { name, kind, token: None, optional: false, multiple: false, parts: &[] }
    }

    /// A key.
    #[must_use]
    pub const fn key(name: &'static str) -> Self {
        Self::of(name, "key")
    }

    /// A string.
    #[must_use]
    pub const fn string(name: &'static str) -> Self {
        Self::of(name, "string")
    }

    /// An integer.
    #[must_use]
    pub const fn integer(name: &'static str) -> Self {
        Self::of(name, "integer")
    }

    /// A floating-point number.
    #[must_use]
    pub const fn double(name: &'static str) -> Self {
        Self::of(name, "double")
    }

    /// A pattern.
    #[must_use]
    pub const fn pattern(name: &'static str) -> Self {
        Self::of(name, "pattern")
    }

    /// A time since the epoch.
    #[must_use]
    pub const fn unix_time(name: &'static str) -> Self {
        Self::of(name, "unix-time")
    }

    /// A word that stands for itself.
    #[must_use]
    pub const fn word(name: &'static str, token: &'static str) -> Self {
        Self::of(name, "pure-token").token(token)
    }

    /// One of several.
    #[must_use]
    pub const fn one_of(name: &'static str, parts: &'static [Self]) -> Self {
        let mut argument = Self::of(name, "oneof");
        argument.parts = parts;
        argument
    }

    /// Several, in this order.
    #[must_use]
    pub const fn block(name: &'static str, parts: &'static [Self]) -> Self {
        let mut argument = Self::of(name, "block");
        argument.parts = parts;
        argument
    }

    /// The same after a word.
    #[must_use]
    pub const fn token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// The same, which may be left out.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same, which may be repeated.
    #[must_use]
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }
}
