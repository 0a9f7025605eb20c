//! What to try next, as it is typed.

use std::path::Path;

use super::{Args, place::Place, world};
use crate::{CliError, Output, output::Style};

/// Says what to try next.
pub(super) fn tell(
    args: &Args,
    place: &Place<'_>,
    done: bool,
    output: Output,
) -> Result<(), CliError> {
    let program = std::env::args_os().next();
    let program = typed(
        program
            .as_deref()
            .unwrap_or_else(|| "sagalog".as_ref())
            .as_ref(),
    );
    let folder = place.folder();
    // An address may have a password in it, which is not repeated.
    let (log, servers) = if place.is_shared() {
        let servers = " --log postgres://… --broker amqp://…";
        ("postgres://…".to_owned(), servers)
    } else {
        (typed(&place.log()), "")
    };
    let world = typed(&folder.join(world::FILE));
    let orders = args.orders.as_deref();
    let orders = orders.map_or_else(String::new, |file| format!(" --orders {}", typed(file)));
    let without = if args.without.is_empty() {
        String::new()
    } else {
        format!(" --without {}", args.without.join(","))
    };
    let again = if done {
        "again: nothing is left to do"
    } else {
        "go on where it stopped"
    };
    let next = [
        (
            again,
            format!(
                "{program} demo --dir {}{orders}{servers}{without}",
                typed(folder)
            ),
        ),
        ("all sagas", format!("{program} saga list --log {log}")),
        (
            "whether the log is what was appended",
            format!("{program} log verify --log {log}"),
        ),
        (
            "what happened outside",
            format!(
                "sqlite3 {world} 'select step, direction, count(*) from effects group by 1, 2'"
            ),
        ),
    ];
    output.line(output.styled(Style::Bold, "what to try next"))?;
    for (what, command) in next {
        output.line(output.styled(Style::Dim, format_args!("  # {what}")))?;
        output.line(format_args!("  {command}"))?;
    }
    Ok(())
}

/// A path as a shell takes it.
fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_is_one_word_of_a_shell() {
        assert_eq!(typed("/tmp/demo-1.d".as_ref()), "/tmp/demo-1.d");
        assert_eq!(typed("Bob's demo".as_ref()), r"'Bob'\''s demo'");
    }
}
