//! Who it is that wants something, for the log.

/// The operating-system user: as the environment says, otherwise as the system's list of users does.
pub(crate) fn this_is() -> String {
    let said = ["USER", "LOGNAME"].into_iter().find_map(|name| {
        let name = std::env::var(name).ok()?;
        (!name.is_empty()).then_some(name)
    });
    said.or_else(listed)
        .unwrap_or_else(|| "operator".to_owned())
}

/// The name of the user that this process runs as, or its number if the list has none.
#[cfg(unix)]
fn listed() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata("/proc/self").ok()?.uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| named(line, user));
    Some(name.unwrap_or_else(|| format!("user {user}")))
}

#[cfg(not(unix))]
fn listed() -> Option<String> {
    None
}

/// The name in a line of the list of users, if it is the one of this number.
#[cfg(unix)]
fn named(line: &str, user: u32) -> Option<String> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let number: u32 = fields.nth(1)?.parse().ok()?;
    (number == user).then(|| name.to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn the_list_of_users_names_a_number() {
        let line = "ann:x:1000:1000:Ann:/home/ann:/bin/sh";
        assert_eq!(super::named(line, 1000).as_deref(), Some("ann"));
        assert_eq!(super::named(line, 0), None);
        assert_eq!(super::named("# a remark", 0), None);
    }

    #[test]
    fn a_process_runs_as_somebody() {
        assert!(!super::this_is().is_empty());
    }
}
