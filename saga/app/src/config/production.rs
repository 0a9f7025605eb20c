//! What the production profile refuses.

use std::path::Path;

use super::{
    file::ConfigFile,
    mask::has_password,
    settings::{Setting, Settings, Source},
};
use crate::error::{CliError, Exit};

/// # Errors
/// With everything that is unsafe.
pub(super) fn refuse_unsafe(
    settings: &Settings,
    file: Option<&ConfigFile>,
) -> Result<(), CliError> {
    let mut unsafe_ones: Vec<_> = settings.all.iter().filter_map(refused).collect();
    if settings.command == "node" && settings.value("name").is_none() {
        unsafe_ones.push(
            "`name` has nothing: the log says which node did what, so each needs its own"
                .to_owned(),
        );
    }
    if let Some(file) = file.filter(|file| file.is_open() && holds_a_password(file)) {
        let name = file.name();
        unsafe_ones.push(format!(
            "{name} has a password in it, and others may read it: chmod 600 {name}"
        ));
    }
    if unsafe_ones.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the profile production does not allow this\n  {}",
        unsafe_ones.join("\n  ")
    );
    Err(CliError::new("unsafe_config", Exit::Usage, message).fix(
        "`sagalog config view` shows where each value is from; --profile development allows it",
    ))
}

fn refused(setting: &Setting) -> Option<String> {
    let value = setting.value.as_deref()?;
    let key = &setting.key;
    if setting.source == Source::Option && has_password(value) {
        return Some(format!(
            "`{key}` has a password in an option, which everybody on this machine sees: put it into the file or the environment"
        ));
    }
    if key == "broker" && value.contains("://guest:guest@") {
        return Some(format!(
            "`{key}` is used as guest, whose password everybody knows: make a user for this log"
        ));
    }
    let is_path = ["log", "home"].contains(&&**key) && !value.contains("://");
    let temporary = std::env::temp_dir();
    if is_path && Path::new(value).starts_with(&temporary) {
        return Some(format!(
            "`{key}` is in {}, which is emptied when the machine starts",
            temporary.display()
        ));
    }
    None
}

fn holds_a_password(file: &ConfigFile) -> bool {
    let mut texts = file.values().flat_map(|value| &value.texts);
    texts.any(|text| has_password(text))
}
