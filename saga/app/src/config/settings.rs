//! The options of a command as keys, and what they have.

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, parser::ValueSource};
use serde::Serialize;

use super::{CONFIGURED, SHARED, WITHOUT, file::ConfigFile, mask::masked, production};
use crate::{args::Cli, error::CliError};

/// The tree of commands, in which each option of those that run for long has a variable.
pub(crate) fn tree() -> clap::Command {
    CONFIGURED.into_iter().fold(Cli::command(), |tree, name| {
        tree.mut_subcommand(name, |command| command.mut_args(with_variable))
    })
}

fn with_variable(option: Arg) -> Arg {
    match option.get_long() {
        Some(long) if option.get_env().is_none() => {
            let variable = long.to_uppercase().replace('-', "_");
            option.env(format!("SAGALOG_{variable}"))
        }
        _ => option,
    }
}

/// What an option is called as a key.
pub(super) fn key_of(option: &Arg) -> String {
    let long = option.get_long();
    long.unwrap_or_else(|| option.get_id().as_str()).to_owned()
}

/// The keys of a command's section.
pub(super) fn keys_of(tree: &clap::Command, command: &str) -> Vec<Arg> {
    let command = tree.find_subcommand(command);
    let options = command.into_iter().flat_map(clap::Command::get_arguments);
    options.cloned().collect()
}

/// The keys at the top of the file.
pub(super) fn keys_of_all(tree: &clap::Command) -> Vec<Arg> {
    let profile = tree.get_arguments().filter(|it| is_profile(it)).cloned();
    let mut keys: Vec<_> = profile.collect();
    for option in CONFIGURED.iter().flat_map(|name| keys_of(tree, name)) {
        if !keys.iter().any(|known| key_of(known) == key_of(&option)) {
            keys.push(option);
        }
    }
    keys
}

fn is_profile(option: &Arg) -> bool {
    option.get_long() == Some("profile")
}

/// The tree in which what the file says is what is usual.
pub(super) fn with_file(tree: clap::Command, file: Option<&ConfigFile>) -> clap::Command {
    let Some(file) = file else { return tree };
    let tree = tree.mut_args(|option| match is_profile(&option) {
        true => with_value(option, "", file),
        false => option,
    });
    tree.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        match () {
            () if CONFIGURED.contains(&&*name) => {
                command.mut_args(|option| with_value(option, &name, file))
            }
            () if WITHOUT.contains(&&*name) => command,
            () => with_shared(command, file),
        }
    })
}

fn with_shared(command: clap::Command, file: &ConfigFile) -> clap::Command {
    let command = command.mut_args(|option| match option.get_long() {
        Some(long) if SHARED.contains(&long) => with_value(option, "", file),
        _ => option,
    });
    command.mut_subcommands(|command| with_shared(command, file))
}

/// The help does not show it: it may have a password in it.
fn with_value(option: Arg, command: &str, file: &ConfigFile) -> Arg {
    match file.value(command, &key_of(&option)) {
        Some(value) => option
            .default_values(value.texts.clone())
            .hide_default_value(true),
        None => option,
    }
}

/// What each key of a command has, and from where.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The command, if it is one that runs for long.
    pub(super) command: String,
    pub(super) all: Vec<Setting>,
}

/// What a key has.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setting {
    pub(super) key: String,
    /// None if it has nothing.
    pub(super) value: Option<String>,
    #[serde(flatten)]
    pub(super) source: Source,
}

/// From where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub(super) enum Source {
    Option,
    Environment { variable: String },
    File { file: String, line: usize },
    Usual,
    Nothing,
}

impl Settings {
    pub(super) fn of(
        tree: &clap::Command,
        matches: &ArgMatches,
        file: Option<&ConfigFile>,
    ) -> Self {
        let Some((command, given)) = matches.subcommand() else {
            return Self::default();
        };
        if !CONFIGURED.contains(&command) {
            return Self::default();
        }
        let profile = tree.get_arguments().filter(|it| is_profile(it)).cloned();
        let options = profile.chain(keys_of(tree, command));
        let all = options.map(|option| Setting::of(&option, command, given, file));
        Self {
            command: command.to_owned(),
            all: all.collect(),
        }
    }

    /// What a key has.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.get(key)?.value.as_deref()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.all.iter().find(|setting| setting.key == key)
    }

    /// # Errors
    /// With everything that the profile does not allow.
    pub(super) fn refuse_unsafe(&self, file: Option<&ConfigFile>) -> Result<(), CliError> {
        if self.value("profile") == Some("production") {
            production::refuse_unsafe(self, file)?;
        }
        Ok(())
    }
}

impl Setting {
    fn of(option: &Arg, command: &str, given: &ArgMatches, file: Option<&ConfigFile>) -> Self {
        let (id, key) = (option.get_id().as_str(), key_of(option));
        let values = given.get_raw(id).into_iter().flatten();
        let values: Vec<_> = values.map(|it| it.to_string_lossy()).collect();
        let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
        let source = match given.value_source(id) {
            Some(ValueSource::CommandLine) => Source::Option,
            Some(ValueSource::EnvVariable) => Source::Environment {
                variable: variable_of(option).unwrap_or_default(),
            },
            Some(_) => match file.and_then(|file| Some((file, file.value(command, &key)?))) {
                Some((file, value)) => Source::File {
                    file: file.name().to_owned(),
                    line: value.line,
                },
                None => Source::Usual,
            },
            None => Source::Nothing,
        };
        let is_set = !values.is_empty() && (is_flag || source != Source::Nothing);
        Self {
            key,
            value: is_set.then(|| values.join(",")),
            source,
        }
    }

    /// What may be shown.
    pub(super) fn masked(&self) -> Self {
        Self {
            value: self.value.as_deref().map(masked),
            ..self.clone()
        }
    }
}

/// The variable of an option.
pub(super) fn variable_of(option: &Arg) -> Option<String> {
    let variable = option.get_env()?;
    Some(variable.to_string_lossy().into_owned())
}
