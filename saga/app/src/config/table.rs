//! All keys as a table, for the documentation.

use std::fmt::Write as _;

use clap::Arg;

use super::{
    CONFIGURED,
    settings::{key_of, keys_of, keys_of_all, tree, variable_of},
};

/// A row for each key.
pub(super) fn markdown() -> String {
    let tree = tree();
    let mut text =
        String::from("| key | of | variable | usual | what it is |\n|---|---|---|---|---|\n");
    for option in keys_of_all(&tree) {
        let of = CONFIGURED.iter().filter(|command| {
            keys_of(&tree, command)
                .iter()
                .any(|it| key_of(it) == key_of(&option))
        });
        let of: Vec<_> = of.copied().collect();
        let of = if of.is_empty() {
            CONFIGURED.join(", ")
        } else {
            of.join(", ")
        };
        let variable = variable_of(&option).map_or_else(String::new, |it| format!("`{it}`"));
        writeln!(
            text,
            "| `{}` | {of} | {variable} | {} | {} |",
            key_of(&option),
            usual(&option),
            help(&option)
        )
        .expect("a string takes all");
    }
    text
}

fn usual(option: &Arg) -> String {
    let values = option.get_default_values();
    let values: Vec<_> = values
        .iter()
        .map(|it| format!("`{}`", it.to_string_lossy()))
        .collect();
    values.join(", ")
}

fn help(option: &Arg) -> String {
    let help = option
        .get_help()
        .map_or_else(String::new, ToString::to_string);
    help.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_this_one() {
        let documented = include_str!("../../../../docs/operations.md");
        let table = markdown();
        assert!(
            documented.contains(&table),
            "replace the table of keys in docs/operations.md by what `sagalog config keys` prints:\n{table}"
        );
    }
}
