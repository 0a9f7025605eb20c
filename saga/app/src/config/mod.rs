//! The configuration: what a file, the environment and the command's options say together.
//!
//! ```text
//!   options  >  environment  >  file, section of the command  >  file, top  >  what is usual
//! ```
//!
//! Every option of `node` and `worker` is a key of the file, and a variable of the environment: all three are
//! read from the tree of commands, so none can be forgotten. The file is checked whole before anything is done.

mod file;
mod finding;
mod mask;
mod production;
mod reload;
pub(crate) mod settings;
mod show;
mod table;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgMatches, FromArgMatches, Subcommand, ValueEnum};

pub(crate) use self::reload::Reloading;
use self::{
    file::ConfigFile,
    settings::{Settings, tree},
};
use crate::{
    args::Cli,
    error::{CliError, Exit},
    output::Output,
};

/// The file that is read if none is named and it is there.
const USUAL_FILE: &str = "sagalog.toml";

/// The commands that run for long, and whose options are the keys.
const CONFIGURED: [&str; 2] = ["node", "worker"];

/// Commands that only look at the tree, or bring their own log along: they read no file.
const WITHOUT: [&str; 6] = ["bench", "completions", "config", "demo", "man", "sim"];

/// What other commands take from the file as well.
const SHARED: [&str; 2] = ["broker", "log"];

/// Where the configuration comes from.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConfigArg {
    /// The configuration's file; sagalog.toml if it is there. Options and the environment come before it
    #[arg(
        id = "config",
        long = "config",
        env = "SAGALOG_CONFIG",
        global = true,
        value_name = "FILE"
    )]
    pub(crate) file: Option<PathBuf>,
    /// Whether what is unsafe is refused: a password in an option or in a file that others may read, a guest at
    /// the broker, what is lost with a temporary folder, a node without a name
    #[arg(
        long,
        env = "SAGALOG_PROFILE",
        global = true,
        value_enum,
        value_name = "PROFILE",
        default_value_t
    )]
    pub(crate) profile: Profile,
}

/// How strict to be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Profile {
    /// Whatever works.
    #[default]
    Development,
    /// Nothing that is unsafe.
    Production,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows every value with where it comes from; passwords are masked
    View(show::Args),
    /// Checks a file whole, and says all that is wrong with it
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// The keys as a table: what they are called in the file and in the environment, and what is usual
    Keys,
}

impl Command {
    pub(crate) fn run(self, config: &ConfigArg, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::View(args) => show::run(&args, config, output),
            Self::Check { file } => {
                let file = ConfigFile::read(&file, &tree())?;
                output.line(format_args!(
                    "{} can be used: {}",
                    file.name(),
                    file.count()
                ))?;
                Ok(Exit::Done.into())
            }
            Self::Keys => {
                output.print(table::markdown())?;
                Ok(Exit::Done.into())
            }
        }
    }
}

/// A command line, understood with the file and the environment.
pub(crate) struct Loaded {
    pub(crate) cli: Cli,
    pub(crate) reloading: Reloading,
}

/// Why a command line is not understood.
pub(crate) enum NotLoaded {
    /// What clap says; help and version are among it.
    Usage(clap::Error),
    /// The file, or what the profile does not allow.
    Config(CliError),
}

impl From<clap::Error> for NotLoaded {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<CliError> for NotLoaded {
    fn from(error: CliError) -> Self {
        Self::Config(error)
    }
}

/// Understands a command line.
pub(crate) fn load(line: Vec<OsString>) -> Result<Loaded, NotLoaded> {
    let Understood {
        matches, settings, ..
    } = understood(&line)?.allowed()?;
    Ok(Loaded {
        cli: Cli::from_arg_matches(&matches)?,
        reloading: Reloading::of(line, settings),
    })
}

/// A command line with what its keys have.
struct Understood {
    matches: ArgMatches,
    settings: Settings,
    file: Option<ConfigFile>,
}

impl Understood {
    /// # Errors
    /// If its profile does not allow it.
    fn allowed(self) -> Result<Self, NotLoaded> {
        self.settings.refuse_unsafe(self.file.as_ref())?;
        Ok(self)
    }
}

fn understood(line: &[OsString]) -> Result<Understood, NotLoaded> {
    let tree = tree();
    let file = match looked_at(&tree, line) {
        Some((command, named)) if !WITHOUT.contains(&&*command) => {
            file_for(named.as_deref(), &tree)?
        }
        _ => None,
    };
    let tree = settings::with_file(tree, file.as_ref());
    let matches = tree.clone().try_get_matches_from(line)?;
    let settings = Settings::of(&tree, &matches, file.as_ref());
    Ok(Understood {
        matches,
        settings,
        file,
    })
}

/// The file that is named, or the usual one if it is there.
fn file_for(named: Option<&Path>, tree: &clap::Command) -> Result<Option<ConfigFile>, CliError> {
    match named {
        Some(named) => ConfigFile::read(named, tree).map(Some),
        None if Path::new(USUAL_FILE).is_file() => {
            ConfigFile::read(Path::new(USUAL_FILE), tree).map(Some)
        }
        None => Ok(None),
    }
}

/// The command and the file that are named, as far as that can be seen without the file.
fn looked_at(tree: &clap::Command, line: &[OsString]) -> Option<(String, Option<PathBuf>)> {
    let lenient = tree.clone().ignore_errors(true);
    let matches = lenient.try_get_matches_from(line).ok()?;
    let command = matches.subcommand_name()?.to_owned();
    Some((command, matches.get_one("config").cloned()))
}
