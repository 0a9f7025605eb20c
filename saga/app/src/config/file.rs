//! The configuration's file, checked whole.

use std::{collections::BTreeMap, error::Error as _, fs, ops::Range, path::Path};

use clap::{
    Arg, ArgAction,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::de::{DeTable, DeValue};

use super::{
    CONFIGURED,
    finding::{Findings, place},
    settings::{key_of, keys_of, keys_of_all},
};
use crate::{
    error::{CliError, Exit},
    words::count,
};

/// The most bytes that a file may have.
const BYTES_MAX: u64 = 1 << 20;

/// A file that can be used.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    name: String,
    /// By section, which is empty for the top, and key.
    values: BTreeMap<(String, String), Value>,
    /// Whether others than its owner may read it.
    is_open: bool,
}

/// What a key has.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) texts: Vec<String>,
    pub(super) line: usize,
}

impl ConfigFile {
    /// Reads a file for this tree of commands.
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub(super) fn read(file: &Path, tree: &clap::Command) -> Result<Self, CliError> {
        let name = file.display().to_string();
        let unreadable = |why: String| {
            CliError::new(
                "bad_config",
                Exit::Usage,
                format!("{name} cannot be read: {why}"),
            )
        };
        let about = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
        if about.len() > BYTES_MAX {
            return Err(unreadable(format!("it has more than {BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
        let mut file = Self::parse(&name, &text, tree)?;
        file.is_open = is_open(&about);
        Ok(file)
    }

    fn parse(name: &str, text: &str, tree: &clap::Command) -> Result<Self, CliError> {
        let mut findings = Findings::in_text(name, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            findings.add(error.span(), error.message());
        }
        let mut reading = Reading {
            text,
            findings,
            values: BTreeMap::new(),
        };
        let (top, all) = (keys_of_all(tree), CONFIGURED);
        for (key, value) in table.get_ref() {
            let (name, at) = (key.get_ref().as_ref(), key.span());
            match value.get_ref() {
                DeValue::Table(section) if all.contains(&name) => {
                    let keys = keys_of(tree, name);
                    for (key, value) in section {
                        let (key, at) = (key.get_ref().as_ref(), key.span());
                        reading.take(name, key, at, (value.get_ref(), value.span()), &keys);
                    }
                }
                it => reading.take("", name, at, (it, value.span()), &top),
            }
        }
        let Reading {
            findings, values, ..
        } = reading;
        findings.none()?;
        Ok(Self {
            name: name.to_owned(),
            values,
            is_open: false,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How much it says.
    pub(super) fn count(&self) -> String {
        count(self.values.len() as u64, "value")
    }

    /// Whether others than its owner may read it.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// What a command gets for a key: that of its section comes first.
    pub(super) fn value(&self, command: &str, key: &str) -> Option<&Value> {
        let of = |section: &str| self.values.get(&(section.to_owned(), key.to_owned()));
        of(command).or_else(|| of(""))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.values()
    }
}

struct Reading<'a> {
    text: &'a str,
    findings: Findings<'a>,
    values: BTreeMap<(String, String), Value>,
}

impl Reading<'_> {
    fn take(
        &mut self,
        section: &str,
        key: &str,
        at: Range<usize>,
        (value, place_of_value): (&DeValue<'_>, Range<usize>),
        keys: &[Arg],
    ) {
        let Some(option) = keys.iter().find(|option| key_of(option) == key) else {
            return self.findings.add(Some(at), unknown(section, key, keys));
        };
        match texts(option, value).and_then(|texts| checked(option, texts)) {
            Ok(texts) => {
                let (line, _) = place(self.text, at.start);
                let key = (section.to_owned(), key.to_owned());
                self.values.insert(key, Value { texts, line });
            }
            Err(why) => self
                .findings
                .add(Some(place_of_value), format!("`{key}`: {why}")),
        }
    }
}

/// Says what may be meant: the name that is most like it, if any is.
fn unknown(section: &str, key: &str, keys: &[Arg]) -> String {
    let of = match section {
        "" => String::new(),
        section => format!(" of [{section}]"),
    };
    let known = keys.iter().map(key_of);
    let known = known.chain(
        CONFIGURED
            .iter()
            .filter(|_| section.is_empty())
            .map(|it| (*it).to_owned()),
    );
    let likeness = |known: &String| strsim::normalized_damerau_levenshtein(known, key);
    let like = known.map(|known| (likeness(&known), known));
    let best = like.max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, known)) if likeness > 0.5 => {
            format!("there is no key `{key}`{of}; is `{known}` meant?")
        }
        _ => format!("there is no key `{key}`{of}"),
    }
}

/// A value as it would be written on the command line.
fn texts(option: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
    let is_list = matches!(option.get_action(), ArgAction::Append);
    match value {
        DeValue::Boolean(it) if is_flag => Ok(vec![it.to_string()]),
        _ if is_flag => Err("it is true or false".to_owned()),
        DeValue::Array(items) if is_list => {
            let each = items.iter().map(|item| text(item.get_ref()));
            each.collect::<Option<_>>()
                .ok_or_else(|| "it is a list of texts".to_owned())
        }
        it if is_list => Ok(vec![text(it).ok_or("it is a list of texts")?]),
        it => Ok(vec![text(it).ok_or("it is a text")?]),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(it) => Some(it.to_string()),
        DeValue::Integer(it) => Some(it.to_string()),
        DeValue::Float(it) => Some(it.to_string()),
        _ => None,
    }
}

/// What the command line would say to these texts.
fn checked(option: &Arg, texts: Vec<String>) -> Result<Vec<String>, String> {
    if matches!(option.get_action(), ArgAction::SetTrue) {
        return Ok(texts);
    }
    let value = Arg::new("value")
        .num_args(1..)
        .allow_hyphen_values(true)
        .value_parser(option.get_value_parser().clone());
    let command = clap::Command::new("key").no_binary_name(true).arg(value);
    match command.try_get_matches_from(&texts) {
        Ok(_) => Ok(texts),
        Err(error) => Err(why(&error)),
    }
}

fn why(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(all))) if !all.is_empty() => {
            format!("it is one of {}", all.join(", "))
        }
        _ => "it is not possible here".to_owned(),
    }
}

fn is_open(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o077 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::tree;

    fn refused(text: &str) -> String {
        let refused = ConfigFile::parse("sagalog.toml", text, &tree());
        refused.expect_err("it is wrong").to_string()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_with_its_place() {
        let text = "\
log = \"postgres://ann:secret@db/shop\"
brokr = \"amqp://mq\"
profile = \"prod\"

[node]
published-size = \"1 bit\"
no-published-log = \"yes\"
without = [\"shipping\", 3.5, true]
home = { here = true }
";
        insta::assert_snapshot!(refused(text), @r#"
        sagalog.toml cannot be used
          sagalog.toml:2:1: there is no key `brokr`; is `broker` meant?
            2 | brokr = "amqp://mq"
          sagalog.toml:3:11: `profile`: it is one of development, production
            3 | profile = "prod"
          sagalog.toml:6:18: `published-size`: it is no size, as 512MiB or 10GiB
            6 | published-size = "1 bit"
          sagalog.toml:7:20: `no-published-log`: it is true or false
            7 | no-published-log = "yes"
          sagalog.toml:8:11: `without`: it is a list of texts
            8 | without = ["shipping", 3.5, true]
          sagalog.toml:9:8: `home`: it is a text
            9 | home = { here = true }
          `sagalog config keys` lists what there is
        "#);
    }

    #[test]
    fn what_is_no_toml_is_said_with_its_place_too() {
        insta::assert_snapshot!(refused("log = \nname = 'a'\nname = 'b'\n"), @r"
        sagalog.toml cannot be used
          sagalog.toml:1:7: string values must be quoted, expected literal string
            1 | log =
          sagalog.toml:3:1: duplicate key
            3 | name = 'b'
          `sagalog config keys` lists what there is
        ");
    }

    #[test]
    fn the_section_of_a_command_comes_before_the_top() {
        let text = "name = 'all'\n[node]\nname = 'mine'\n";
        let file = ConfigFile::parse("sagalog.toml", text, &tree()).expect("it is right");
        let name = |command| file.value(command, "name").map(|it| it.texts[0].as_str());
        assert_eq!((name("node"), name("worker")), (Some("mine"), Some("all")));
    }
}
