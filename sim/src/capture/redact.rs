//! Taking out of a capture what nobody else may see, so that the rest can still be checked.

use std::fmt;

use sagalog_model::log::{Data, Digest, Version};

use super::{BadCapture, Capture, CapturedRow, Redacted};

/// A text that is shorter than this is not looked for elsewhere: it would be found anywhere.
const LEAK_BYTES_MIN: usize = 4;

/// Which parts of payloads are redacted: JSON pointers (RFC 6901) into each of them, in which `*` stands
/// for any member or item. The empty pointer is the whole payload.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Redaction {
    pointers: Vec<Pointer>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Pointer {
    text: String,
    tokens: Vec<String>,
}

/// A text that is no JSON pointer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no JSON pointer: it begins with `/`, as in `/card/number` or `/items/*/name`, and has `~0` for `~` and `~1` for `/`"
)]
pub struct BadPointer(pub String);

/// Why a capture was not redacted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotRedact {
    /// A pointer names nothing: it may be misspelt.
    #[error("no payload of the saga has anything at `{0}`")]
    NothingThere(String),
    /// The capture is not one any more.
    #[error(transparent)]
    Bad(#[from] BadCapture),
}

/// A redacted text that stands elsewhere in the capture, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leak {
    /// The event in which it stands.
    pub version: Version,
    /// The event's type.
    pub kind: String,
}

impl Redaction {
    /// What these pointers name.
    ///
    /// # Errors
    /// [`BadPointer`] is the first that is none.
    pub fn of(pointers: &[impl AsRef<str>]) -> Result<Self, BadPointer> {
        let pointers = pointers.iter().map(|text| Pointer::of(text.as_ref()));
        Ok(Self {
            pointers: pointers.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// The pointers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.pointers.iter().map(|pointer| &*pointer.text)
    }
}

impl fmt::Display for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointers = self.iter().map(|pointer| format!("`{pointer}`"));
        f.write_str(&pointers.collect::<Vec<_>>().join(", "))
    }
}

impl Pointer {
    fn of(text: &str) -> Result<Self, BadPointer> {
        let bad = || BadPointer(text.to_owned());
        let token = |token: &str| {
            let rest = token.replace("~0", "").replace("~1", "");
            let is_good = !rest.contains('~');
            is_good.then(|| token.replace("~1", "/").replace("~0", "~"))
        };
        let tokens = match text.strip_prefix('/') {
            None if text.is_empty() => Vec::new(),
            None => return Err(bad()),
            Some(rest) => {
                let tokens = rest.split('/').map(token);
                tokens.collect::<Option<_>>().ok_or_else(bad)?
            }
        };
        Ok(Self {
            text: text.to_owned(),
            tokens,
        })
    }
}

impl Capture {
    /// The same without what these pointers name. Of a payload in which something is hidden the hash
    /// and the length are kept, so that the chain can still be computed: texts become as many `*`, each
    /// digit of a number becomes 1, `true` becomes `false`.
    ///
    /// The leaks are events in which a text that was hidden stands as well, where no pointer led.
    ///
    /// # Errors
    /// [`CannotRedact`]
    pub fn redact(&self, redaction: &Redaction) -> Result<(Self, Vec<Leak>), CannotRedact> {
        let mut parts = self.parts.clone();
        let mut hidden = Hidden::default();
        hidden.found.resize(redaction.pointers.len(), false);
        for row in &mut parts.rows {
            hidden.row(row, redaction);
        }
        if let Some(at) = hidden.found.iter().position(|found| !found) {
            let pointer = redaction.pointers[at].text.clone();
            return Err(CannotRedact::NothingThere(pointer));
        }
        for pointer in &redaction.pointers {
            if !parts.redaction.pointers.contains(pointer) {
                parts.redaction.pointers.push(pointer.clone());
            }
        }
        let leaks = hidden.leaks(&parts.rows);
        Ok((Self::checked(parts)?, leaks))
    }
}

/// What was hidden so far.
#[derive(Default)]
struct Hidden {
    /// Which pointers led somewhere.
    found: Vec<bool>,
    texts: Vec<String>,
}

impl Hidden {
    fn row(&mut self, captured: &mut CapturedRow, redaction: &Redaction) {
        for (index, event) in captured.row.events.iter_mut().enumerate() {
            let Data::Inline(text) = &event.data else {
                continue;
            };
            let Some(shown) = self.hide(text, redaction) else {
                continue;
            };
            if captured.redacted.iter().all(|was| was.event != index) {
                captured.redacted.push(Redacted {
                    event: index,
                    digest: Digest::of(text.as_bytes()),
                    bytes: text.len(),
                });
            }
            event.data = Data::Inline(shown.into());
        }
        captured.redacted.sort_by_key(|was| was.event);
    }

    /// A payload as it is shown; none if nothing in it is hidden.
    fn hide(&mut self, text: &str, redaction: &Redaction) -> Option<String> {
        let mut walk = Walk {
            text,
            redaction,
            hidden: self,
            inside: Vec::new(),
            shown: String::with_capacity(text.len()),
            is_changed: false,
        };
        walk.run();
        walk.is_changed.then_some(walk.shown)
    }

    fn leaks(&self, rows: &[CapturedRow]) -> Vec<Leak> {
        let says = |text: &str| self.texts.iter().any(|hidden| text.contains(&**hidden));
        let events = rows.iter().flat_map(|row| row.row.events());
        let leaks = events.filter(|event| {
            let data = match &event.recorded.data {
                Data::Inline(data) => data,
                Data::None | Data::Erased(_) => "",
            };
            says(&event.recorded.control) || says(data)
        });
        let leaks = leaks.map(|event| Leak {
            version: event.version,
            kind: event.recorded.kind.to_string(),
        });
        leaks.collect()
    }
}

/// A way through the text of a JSON value, which is known to be one. It keeps its own stack: a payload may be
/// nested as deep as it is long.
struct Walk<'a> {
    text: &'a str,
    redaction: &'a Redaction,
    hidden: &'a mut Hidden,
    inside: Vec<Container>,
    shown: String,
    is_changed: bool,
}

/// An object or a list that is being walked.
struct Container {
    here: Here,
    /// Of a list, the number of the item; of an object, whether a member's name comes next, and where its
    /// value is.
    at: At,
}

enum At {
    Item(usize),
    Name,
    Member(Here),
}

/// Where a value is: which pointers lead on from here, each with how many of its tokens led here.
#[derive(Clone)]
struct Here {
    leading: Vec<(usize, usize)>,
    is_hidden: bool,
}

impl Walk<'_> {
    fn run(&mut self) {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let end = match bytes[at] {
                b'"' => at + string_length(&bytes[at..]),
                b'{' | b'[' | b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at + 1,
                _ => at + scalar_length(&bytes[at..]),
            };
            self.token(&text[at..end]);
            at = end;
        }
    }

    fn token(&mut self, token: &str) {
        match token.as_bytes()[0] {
            b'{' | b'[' => {
                let here = self.here();
                let at = if token == "{" { At::Name } else { At::Item(0) };
                self.inside.push(Container { here, at });
                self.shown.push_str(token);
            }
            b'}' | b']' => {
                self.inside.pop();
                self.shown.push_str(token);
            }
            b',' => {
                if let Some(inside) = self.inside.last_mut() {
                    inside.at = match inside.at {
                        At::Item(number) => At::Item(number + 1),
                        At::Name | At::Member(_) => At::Name,
                    };
                }
                self.shown.push(',');
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => self.shown.push_str(token),
            b'"' if self
                .inside
                .last()
                .is_some_and(|inside| matches!(inside.at, At::Name)) =>
            {
                let name: String = serde_json::from_str(token).unwrap_or_default();
                let mut inside = self.inside.pop().expect("it was looked at");
                inside.at = At::Member(self.below(&inside.here, &name));
                self.inside.push(inside);
                self.shown.push_str(token);
            }
            _ => self.scalar(token),
        }
    }

    fn scalar(&mut self, token: &str) {
        if !self.here().is_hidden {
            self.shown.push_str(token);
            return;
        }
        // Also where it is shown as it was: nobody is to know.
        self.is_changed = true;
        match token.as_bytes()[0] {
            b'"' => {
                let inner = &token[1..token.len() - 1];
                if inner.len() >= LEAK_BYTES_MIN && inner.bytes().any(|byte| byte != b'*') {
                    self.hidden.texts.push(inner.to_owned());
                }
                self.shown.push('"');
                self.shown.push_str(&"*".repeat(inner.len()));
                self.shown.push('"');
            }
            b't' | b'f' => self.shown.push_str("false"),
            b'n' => self.shown.push_str("null"),
            _ => {
                let one = |c: char| if c.is_ascii_digit() { '1' } else { c };
                self.shown.extend(token.chars().map(one));
            }
        }
    }

    /// Where the value is that comes next.
    fn here(&mut self) -> Here {
        match self.inside.last() {
            None => {
                let leading = (0..self.redaction.pointers.len()).map(|pointer| (pointer, 0));
                self.arrived(leading.collect(), false)
            }
            Some(Container {
                at: At::Member(here),
                ..
            }) => here.clone(),
            Some(Container {
                here,
                at: At::Item(number),
            }) => {
                let (here, number) = (here.clone(), number.to_string());
                self.below(&here, &number)
            }
            Some(Container { here, .. }) => here.clone(),
        }
    }

    fn below(&mut self, here: &Here, name: &str) -> Here {
        let leading = here.leading.iter().copied();
        let leading = leading.filter(|(pointer, led)| {
            let token = self.redaction.pointers[*pointer].tokens.get(*led);
            token.is_some_and(|token| token == "*" || token == name)
        });
        let leading = leading.map(|(pointer, led)| (pointer, led + 1)).collect();
        self.arrived(leading, here.is_hidden)
    }

    fn arrived(&mut self, leading: Vec<(usize, usize)>, is_hidden: bool) -> Here {
        let mut here = Here { leading, is_hidden };
        for (pointer, led) in &here.leading {
            if self.redaction.pointers[*pointer].tokens.len() == *led {
                self.hidden.found[*pointer] = true;
                here.is_hidden = true;
            }
        }
        here
    }
}

fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn scalar_length(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| {
        matches!(
            byte,
            b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'
        )
    };
    bytes.iter().position(ends).unwrap_or(bytes.len()).max(1)
}
