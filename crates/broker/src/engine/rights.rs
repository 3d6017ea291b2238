//! Who may publish and read what: rules as data, looked at by the engine and by nobody else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use declic_mqtt::TopicFilter;

use super::Engine;
use super::connect::Identity;
use super::messages::MessageRef;
use super::session::Session;

/// Rules that say who may publish to which topics, and read them. What no rule allows is
/// forbidden.
///
/// ```
/// use declic_broker::Rights;
///
/// let rights = Rights::parse(
///     "user lamp
///      topic read house/#
///      topic write house/lamp
///      pattern readwrite own/%u/#",
/// )?;
/// assert!(rights.allow_write(Some("lamp"), "any", "house/lamp"));
/// assert!(!rights.allow_write(Some("lamp"), "any", "house/door"));
/// assert!(rights.allow_read(Some("eve"), "any", "own/eve/x"));
/// # Ok::<(), declic_broker::InvalidRights>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Of clients without a user name.
    anonymous: Vec<Rule>,
    users: BTreeMap<Box<str>, Vec<Rule>>,
    /// Of all clients, with placeholders.
    patterns: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    filter: Box<str>,
    grants: Grants,
    /// Whether `%u` and `%c` stand for names.
    is_pattern: bool,
}

/// What a rule says about the topics it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grants {
    Read,
    Write,
    ReadWrite,
    /// Neither, whatever other rules say.
    Nothing,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Read,
    Write,
}

/// How much of what a subscription asks for may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    All,
    /// Each message has to be looked at.
    Some,
    Nothing,
}

/// Somebody, as far as rules ask.
#[derive(Debug, Clone, Copy)]
struct Names<'a> {
    user: Option<&'a str>,
    client_id: &'a str,
}

impl Rights {
    /// Rules from a text in the form of Mosquitto's `acl_file`, line by line:
    ///
    /// - `topic [read|write|readwrite|deny] FILTER`: for the user named last; above the first
    ///   `user`, for clients without a user name. Without a word it is `readwrite`.
    /// - `user NAME`
    /// - `pattern [read|write|readwrite|deny] FILTER`: for everyone; `%u` in it stands for the
    ///   client's user name and `%c` for its client identifier. A client whose name holds `+`, `#`
    ///   or `/`, or begins with `$`, is not meant by a pattern that allows something.
    /// - Lines that are empty or begin with `#` say nothing.
    ///
    /// What is denied is so whatever else allows it.
    ///
    /// # Errors
    /// The line and column of what is wrong, and why. A text without any rule is an error too: it
    /// is no way to say that nobody may do anything, nor that everybody may.
    pub fn parse(text: &str) -> Result<Self, InvalidRights> {
        let mut rights = Self::default();
        let mut user: Option<Box<str>> = None;
        let mut last = 1;
        for (number, line) in (1..).zip(text.lines()) {
            last = number;
            let (keyword, rest) = first_word(line);
            if keyword.is_empty() || keyword.starts_with('#') {
                continue;
            }
            let invalid = |at: &str, why| InvalidRights::new(number, line, at, why);
            match keyword {
                "user" => {
                    // Mosquitto takes all that follows, spaces included.
                    let name = rest.trim();
                    if name.is_empty() {
                        return Err(invalid(rest, Problem::NoName));
                    }
                    rights.users.entry(name.into()).or_default();
                    user = Some(name.into());
                }
                "topic" | "pattern" => {
                    let is_pattern = keyword == "pattern";
                    let rule = rule(rest, is_pattern).map_err(|(at, why)| invalid(at, why))?;
                    match (&user, is_pattern) {
                        (_, true) => rights.patterns.push(rule),
                        (None, false) => rights.anonymous.push(rule),
                        (Some(user), false) => {
                            rights.users.entry(user.clone()).or_default().push(rule);
                        }
                    }
                }
                other => return Err(invalid(other, Problem::Keyword(other.into()))),
            }
        }
        if rights.is_empty() {
            return Err(InvalidRights::new(last, "", "", Problem::NoRule));
        }
        Ok(rights)
    }

    /// Whether somebody may publish to `topic`.
    pub fn allow_write(&self, user: Option<&str>, client_id: &str, topic: &str) -> bool {
        self.allow(Names { user, client_id }, topic, Wish::Write)
    }

    /// Whether somebody may be sent what is published to `topic`.
    pub fn allow_read(&self, user: Option<&str>, client_id: &str, topic: &str) -> bool {
        self.allow(Names { user, client_id }, topic, Wish::Read)
    }

    /// How much of what `filter` matches may be read.
    pub(super) fn coverage(
        &self,
        user: Option<&str>,
        client_id: &str,
        filter: TopicFilter<'_>,
    ) -> Coverage {
        let names = Names { user, client_id };
        let filter = filter.without_share().as_str();
        let (mut overlaps, mut covers) = (false, false);
        for rule in self.rules(user) {
            if rule.grants == Grants::Nothing {
                if rule.covers(filter, names) {
                    return Coverage::Nothing;
                }
                continue;
            }
            if rule.grants.include(Wish::Read) {
                overlaps |= rule.overlaps(filter, names);
                covers |= rule.covers(filter, names);
            }
        }
        let denied = |rule: &Rule| rule.grants == Grants::Nothing && rule.overlaps(filter, names);
        match (overlaps, covers && !self.rules(user).any(denied)) {
            (_, true) => Coverage::All,
            (true, false) => Coverage::Some,
            (false, false) => Coverage::Nothing,
        }
    }

    /// Whether somebody may publish to `topic`.
    pub(super) fn identity_may_write(
        &self,
        identity: &Identity,
        client_id: &str,
        topic: &str,
    ) -> bool {
        match identity {
            Identity::Trusted => true,
            Identity::Anonymous => self.allow_write(None, client_id, topic),
            Identity::User(name) => self.allow_write(Some(name), client_id, topic),
        }
    }

    fn allow(&self, names: Names<'_>, topic: &str, wish: Wish) -> bool {
        let mut allowed = false;
        for rule in self.rules(names.user) {
            if rule.grants == Grants::Nothing {
                if rule.overlaps(topic, names) {
                    return false;
                }
            } else if !allowed && rule.grants.include(wish) {
                allowed = rule.overlaps(topic, names);
            }
        }
        allowed
    }

    fn rules(&self, user: Option<&str>) -> impl Iterator<Item = &Rule> {
        let own = match user {
            None => Some(&self.anonymous),
            Some(user) => self.users.get(user),
        };
        own.into_iter().flatten().chain(&self.patterns)
    }

    fn is_empty(&self) -> bool {
        self.anonymous.is_empty()
            && self.patterns.is_empty()
            && self.users.values().all(Vec::is_empty)
    }
}

impl Engine {
    /// From now on these rights count, for clients that are connected too: what they may not read
    /// any more is not sent, not even when it waits already. `None` lets everyone do everything.
    ///
    /// Who somebody is, the engine knows [with authentication](Self::with_authentication) only.
    pub fn set_rights(&mut self, rights: Option<Arc<Rights>>) {
        self.rights = rights;
        let sessions: Vec<_> = self.sessions.iter().map(|(key, _)| key as u32).collect();
        for session in sessions {
            self.apply_rights(session);
        }
    }

    /// Finds out whether what comes to a session has to be looked at.
    pub(super) fn apply_rights(&mut self, session: u32) {
        let state = &self.sessions[session as usize];
        let is_checked = match &self.rights {
            None => false,
            // What waits may be from subscriptions that ended.
            Some(_) if !state.queue.is_empty() || !state.in_flight.is_empty() => true,
            Some(rights) => !state.subscriptions.iter().all(|place| {
                let text = self.tree.filter(*place);
                let filter = TopicFilter::new(&text);
                filter.is_ok_and(|filter| state.coverage(rights, filter) == Coverage::All)
            }),
        };
        self.sessions[session as usize].is_checked = is_checked;
    }

    /// Whether the client of a session may publish to `topic`.
    pub(super) fn may_write(&self, session: u32, topic: &str) -> bool {
        let state = &self.sessions[session as usize];
        match (&self.rights, &state.identity) {
            (None, _) => true,
            // Its will was allowed when it came, and the store did not say whose it is.
            (Some(_), None) => true,
            (Some(rights), Some(identity)) => {
                rights.identity_may_write(identity, &state.client_id, topic)
            }
        }
    }

    /// Whether a message must not be sent to the client of a session.
    pub(super) fn is_withheld(&self, session: u32, message: &MessageRef) -> bool {
        let state = &self.sessions[session as usize];
        let topic = self.messages.get(message).topic();
        let rights = self.rights.as_deref();
        rights.is_some_and(|rights| state.is_withheld(rights, topic))
    }
}

impl Session {
    /// Whether what is published to `topic` must not be sent to the client. Where a store did not
    /// say whose the session is, it is found out when its client is back.
    pub(super) fn is_withheld(&self, rights: &Rights, topic: &str) -> bool {
        let user = match &self.identity {
            _ if !self.is_checked => return false,
            None | Some(Identity::Trusted) => return false,
            Some(Identity::Anonymous) => None,
            Some(Identity::User(name)) => Some(&**name),
        };
        !rights.allow_read(user, &self.client_id, topic)
    }

    /// How much of what `filter` matches the client may read.
    pub(super) fn coverage(&self, rights: &Rights, filter: TopicFilter<'_>) -> Coverage {
        let user = match &self.identity {
            None => return Coverage::Some,
            Some(Identity::Trusted) => return Coverage::All,
            Some(Identity::Anonymous) => None,
            Some(Identity::User(name)) => Some(&**name),
        };
        rights.coverage(user, &self.client_id, filter)
    }
}

impl Grants {
    const fn include(self, wish: Wish) -> bool {
        match self {
            Self::Read => matches!(wish, Wish::Read),
            Self::Write => matches!(wish, Wish::Write),
            Self::ReadWrite => true,
            Self::Nothing => false,
        }
    }
}

impl Rule {
    /// Whether there is a topic that both the rule and `filter` match. A topic is a filter that
    /// matches only itself.
    fn overlaps(&self, filter: &str, names: Names<'_>) -> bool {
        if !self.may_meet(filter) {
            return false;
        }
        let (mut own, mut other) = (self.filter.split('/'), filter.split('/'));
        loop {
            match (own.next(), other.next()) {
                // `a/#` matches `a` too.
                (None, None | Some("#")) | (Some("#"), _) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(level), Some("#")) => {
                    // Whatever the names are, they have to be possible.
                    let mut levels = std::iter::once(level).chain(own);
                    return levels.all(|level| self.level_matches(level, None, names));
                }
                (Some("+"), Some(_)) => {}
                (Some(level), Some(other)) => {
                    if !self.level_matches(level, Some(other).filter(|one| *one != "+"), names) {
                        return false;
                    }
                }
            }
        }
    }

    /// Whether the rule matches every topic that `filter` matches.
    fn covers(&self, filter: &str, names: Names<'_>) -> bool {
        if !self.may_meet(filter) {
            return false;
        }
        let (mut own, mut other) = (self.filter.split('/'), filter.split('/'));
        loop {
            match (own.next(), other.next()) {
                (None, None) | (Some("#"), _) => return true,
                (None, Some(_)) | (Some(_), None | Some("#")) => return false,
                (Some("+"), Some(_)) => {}
                (Some(_), Some("+")) => return false,
                (Some(level), Some(other)) => {
                    if !self.level_matches(level, Some(other), names) {
                        return false;
                    }
                }
            }
        }
    }

    /// `[MQTT-4.7.2-1]`: no wildcard at the beginning stands for what begins with `$`.
    fn may_meet(&self, filter: &str) -> bool {
        let is_wild = |filter: &str| filter.starts_with(['+', '#']);
        !(is_wild(&self.filter) && filter.starts_with('$')
            || is_wild(filter) && self.filter.starts_with('$'))
    }

    /// Whether a level of the rule matches this level of a topic, or any at all.
    fn level_matches(&self, level: &str, other: Option<&str>, names: Names<'_>) -> bool {
        if !self.is_pattern || !level.contains('%') {
            return other.is_none_or(|other| other == level);
        }
        let mut rest = other;
        let mut parts = level.split('%');
        let mut expect = |text: &str| match rest {
            None => true,
            Some(other) => match other.strip_prefix(text) {
                Some(behind) => {
                    rest = Some(behind);
                    true
                }
                None => false,
            },
        };
        if !parts.next().is_none_or(&mut expect) {
            return false;
        }
        for part in parts {
            let (name, behind) = match part.as_bytes().first() {
                Some(b'u') => (names.user, &part[1..]),
                Some(b'c') => (Some(names.client_id), &part[1..]),
                _ => {
                    if !(expect("%") && expect(part)) {
                        return false;
                    }
                    continue;
                }
            };
            match name {
                None | Some("") => return false,
                // A name that would be a wildcard, or several levels, opens nothing; and what is
                // closed is closed for it as widely as can be.
                Some(name) if name.contains(['+', '#', '/']) || name.starts_with('$') => {
                    return self.grants == Grants::Nothing;
                }
                Some(name) => {
                    if !(expect(name) && expect(behind)) {
                        return false;
                    }
                }
            }
        }
        rest.is_none_or(str::is_empty)
    }
}

/// The rule behind `topic` or `pattern`.
fn rule(text: &str, is_pattern: bool) -> Result<Rule, (&str, Problem)> {
    let (word, behind) = first_word(text);
    let (grants, filter) = match word {
        "read" => (Grants::Read, behind),
        "write" => (Grants::Write, behind),
        "readwrite" => (Grants::ReadWrite, behind),
        "deny" => (Grants::Nothing, behind),
        _ => (Grants::ReadWrite, text),
    };
    // A single word is a topic, whatever it says.
    let (grants, filter) = match filter.trim() {
        "" => (Grants::ReadWrite, word),
        filter => (grants, filter),
    };
    if filter.is_empty() {
        return Err((text, Problem::NoFilter));
    }
    match TopicFilter::new(filter) {
        Ok(valid) if valid.share_name().is_none() => Ok(Rule {
            filter: filter.into(),
            grants,
            is_pattern,
        }),
        Ok(_) => Err((filter, Problem::Shared)),
        Err(_) => Err((filter, Problem::Filter(filter.into()))),
    }
}

/// The first word of a text and what comes behind it.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let word = text.trim_end();
    text.split_once([' ', '\t'])
        .unwrap_or((word, &text[word.len()..]))
}

/// Why a text holds no rights, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRights {
    line: usize,
    column: usize,
    why: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Keyword(Box<str>),
    NoName,
    NoFilter,
    Filter(Box<str>),
    Shared,
    NoRule,
}

impl InvalidRights {
    /// `at` is a part of `line`, where it is one.
    fn new(number: usize, line: &str, at: &str, why: Problem) -> Self {
        let offset = (at.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
        Self {
            line: number,
            column: line
                .get(..offset)
                .map_or(0, |before| before.chars().count())
                + 1,
            why,
        }
    }

    /// The line, counted from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, without the place.
    pub(crate) fn cause(&self) -> String {
        match &self.why {
            Problem::Keyword(word) => format!(
                "a line begins with topic, pattern or user, not with `{}`",
                word.escape_debug()
            ),
            Problem::NoName => "the name of the user is missing".to_owned(),
            Problem::NoFilter => "the topic filter is missing".to_owned(),
            Problem::Filter(filter) => {
                format!("`{}` is no topic filter", filter.escape_debug())
            }
            Problem::Shared => {
                "a share has no rights of its own: leave $share/NAME/ out".to_owned()
            }
            Problem::NoRule => "there is no rule, so nobody could do anything; \
                                `pattern readwrite #` lets everybody do everything"
                .to_owned(),
        }
    }
}

impl fmt::Display for InvalidRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        write!(f, "line {line}, column {column}: {}", self.cause())
    }
}

impl std::error::Error for InvalidRights {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(text: &str) -> Rights {
        Rights::parse(text).expect("valid rights")
    }

    fn problem(text: &str) -> String {
        Rights::parse(text).expect_err("no rights").to_string()
    }

    #[test]
    fn an_empty_or_malformed_text_says_where_and_never_means_everyone() {
        for (text, expected) in [
            ("", "line 1, column 1: there is no rule"),
            (
                "# nothing\n\nuser ann\n",
                "line 3, column 1: there is no rule",
            ),
            (
                "topic a\nallow a",
                "line 2, column 1: a line begins with topic, pattern or user, not with `allow`",
            ),
            (
                "user  \ntopic a",
                "line 1, column 6: the name of the user is missing",
            ),
            ("\n  topic", "line 2, column 8: the topic filter is missing"),
            (
                "topic read a/#/b",
                "line 1, column 12: `a/#/b` is no topic filter",
            ),
            (
                "pattern \tdeny  \u{e4}/b+",
                "line 1, column 16: `\u{e4}/b+` is no topic filter",
            ),
            (
                "topic $share/a/b",
                "line 1, column 7: a share has no rights of its own",
            ),
        ] {
            let problem = problem(text);
            assert!(problem.starts_with(expected), "{text:?}: {problem}");
        }
    }

    #[test]
    fn what_no_rule_allows_is_forbidden_and_what_one_denies_too() {
        let rights = rights(
            "topic read public/#\n\
             user ann\n\
             topic write a/+\n\
             topic read a/b\n\
             topic deny a/secret\n\
             topic c d\n\
             pattern read all\n\
             pattern deny all/not\n",
        );
        let read = |user, topic| rights.allow_read(user, "id", topic);
        let write = |user, topic| rights.allow_write(user, "id", topic);
        let ann = Some("ann");
        assert!(read(None, "public") && read(None, "public/x") && !write(None, "public/x"));
        // What is said above the first user is not for users.
        assert!(!read(ann, "public/x"));
        assert!(write(ann, "a/x") && !read(ann, "a/x") && read(ann, "a/b"));
        assert!(!write(ann, "a/secret"));
        assert!(read(ann, "c d") && write(ann, "c d"));
        for user in [None, ann, Some("bob")] {
            assert!(read(user, "all") && !write(user, "all") && !read(user, "all/not"));
        }
        assert!(!write(Some("bob"), "a/x"));
    }

    #[test]
    fn names_of_clients_open_their_own_topics_and_no_others() {
        let rights = rights(
            "pattern readwrite home/%u/#\n\
             pattern write id/%c\n\
             pattern read both/x-%u-%c-y/z\n\
             pattern read percent/100%/%x\n",
        );
        assert!(rights.allow_read(Some("ann"), "id", "home/ann/x"));
        assert!(!rights.allow_read(Some("ann"), "id", "home/bob/x"));
        assert!(!rights.allow_read(None, "id", "home/ann/x"));
        assert!(!rights.allow_read(Some(""), "id", "home//x"));
        assert!(rights.allow_write(None, "id", "id/id"));
        assert!(rights.allow_read(Some("ann"), "1", "both/x-ann-1-y/z"));
        assert!(!rights.allow_read(Some("ann"), "1", "both/x-ann-2-y/z"));
        assert!(!rights.allow_read(Some("ann"), "1", "both/x-ann-1-yy/z"));
        assert!(rights.allow_read(None, "id", "percent/100%/%x"));
        // A name with a placeholder in it is just a name.
        assert!(rights.allow_read(Some("%c"), "bob", "home/%c/x"));
        assert!(!rights.allow_read(Some("%c"), "bob", "home/bob/x"));
    }

    #[test]
    fn names_that_would_be_wildcards_or_levels_open_nothing() {
        let rights = rights("pattern readwrite %u/#\npattern readwrite c/%c/d\n");
        for bad in ["+", "#", "a/b", "a+", "#a", "/", "$SYS", ""] {
            for topic in [
                "+", "a", "a/b", "a/b/c", "$SYS/x", "c/x/d", "c/a/b/d", "/", "/x", "a+",
            ] {
                assert!(!rights.allow_read(Some(bad), bad, topic), "{bad} {topic}");
                assert!(!rights.allow_write(Some(bad), bad, topic), "{bad} {topic}");
            }
            for filter in ["#", "+/#", "c/+/d", "a/b", "$SYS/#"] {
                let filter = TopicFilter::new(filter).expect("a filter");
                let coverage = rights.coverage(Some(bad), bad, filter);
                assert_eq!(coverage, Coverage::Nothing, "{bad} {filter:?}");
            }
        }
    }

    #[test]
    fn a_name_that_would_be_a_wildcard_does_not_escape_what_is_denied() {
        let rights = rights("pattern readwrite #\npattern deny jail/%c/#\n");
        assert!(rights.allow_write(None, "free", "jail/other/x"));
        assert!(!rights.allow_write(None, "bad", "jail/bad/x"));
        assert!(!rights.allow_write(None, "a/b", "jail/a/b/x"));
        assert!(!rights.allow_write(None, "+", "jail/other/x"));
    }

    #[test]
    fn a_filter_is_covered_when_all_and_overlapped_when_some_of_it_may_be_read() {
        let rights = rights(
            "topic read a/#\n\
             topic read b/+/c\n\
             topic read d\n\
             topic read $SYS/#\n\
             topic write w/#\n\
             topic deny a/x/#\n",
        );
        for (filter, expected) in [
            ("a/#", Coverage::Some),
            ("a/b/#", Coverage::All),
            ("a", Coverage::All),
            ("a/+", Coverage::Some),
            ("a/x", Coverage::Nothing),
            ("a/x/y", Coverage::Nothing),
            ("b/+/c", Coverage::All),
            ("b/x/c", Coverage::All),
            ("b/#", Coverage::Some),
            ("b/x", Coverage::Nothing),
            ("d/#", Coverage::Some),
            ("d/x", Coverage::Nothing),
            ("#", Coverage::Some),
            ("+", Coverage::Some),
            ("w/#", Coverage::Nothing),
            ("$SYS/#", Coverage::All),
            ("$SYS/x", Coverage::All),
            ("$share/group/a/b", Coverage::All),
            ("$share/group/w/b", Coverage::Nothing),
        ] {
            let parsed = TopicFilter::new(filter).expect("a filter");
            assert_eq!(rights.coverage(None, "id", parsed), expected, "{filter}");
        }
        let everything = self::rights("topic read #");
        let system = TopicFilter::new("$SYS/#").expect("a filter");
        assert_eq!(everything.coverage(None, "", system), Coverage::Nothing);
        assert!(!everything.allow_read(None, "", "$SYS/x"));
    }
}
