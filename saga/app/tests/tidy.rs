//! The house stays as `docs/architecture.md` says: who depends on whom, what lies at the top, links.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Which packages of the workspace each package may use, besides itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sagalog-model", &[]),
    ("sagalog-projections", &["sagalog-model"]),
    ("sagalog-engine", &["sagalog-model", "sagalog-projections"]),
    ("sagalog-eventlog", &["sagalog-model"]),
    ("sagalog-transport", &["sagalog-model"]),
    (
        "sagalog-sim",
        &[
            "sagalog-engine",
            "sagalog-eventlog",
            "sagalog-model",
            "sagalog-projections",
            "sagalog-transport",
        ],
    ),
    (
        "sagalog",
        &[
            "sagalog-engine",
            "sagalog-eventlog",
            "sagalog-model",
            "sagalog-projections",
            "sagalog-transport",
        ],
    ),
    (
        "sagalog-cli",
        &[
            "sagalog",
            "sagalog-engine",
            "sagalog-eventlog",
            "sagalog-model",
            "sagalog-projections",
            "sagalog-sim",
            "sagalog-transport",
        ],
    ),
];

#[test]
fn packages_use_only_what_the_house_allows() {
    let allowed: BTreeMap<_, BTreeSet<_>> = MAY_USE
        .iter()
        .map(|(package, uses)| (*package, uses.iter().copied().collect()))
        .collect();
    let cargo = std::env::var_os("CARGO").expect("cargo runs its tests");
    let metadata = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), allowed.len(), "every package is named here");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let uses = package["dependencies"].as_array().expect("dependencies");
        for used in uses
            .iter()
            .filter_map(|used| used["name"].as_str())
            .filter(|used| used.starts_with("sagalog"))
        {
            assert!(
                used == name || allowed[name].contains(used),
                "{name} must not use {used}"
            );
        }
    }
}

#[test]
fn the_pure_packages_are_no_std() {
    for package in ["saga/model", "saga/engine", "projections"] {
        let text = fs::read_to_string(root().join(package).join("src/lib.rs")).expect("a library");
        assert!(text.contains("#![no_std]"), "{package} must be no_std");
    }
}

/// The event log and the transport take numbers, times and ids from the model, and nothing else.
#[test]
fn the_log_and_the_transport_do_not_know_what_a_saga_is() {
    for package in ["eventlog", "transport"] {
        for file in files(&root().join(package).join("src"), "rs") {
            let text = fs::read_to_string(&file).expect("a source file");
            for used in text.split("sagalog_model::").skip(1) {
                assert!(
                    used.starts_with("log::"),
                    "{} uses sagalog_model::{}",
                    file.display(),
                    first_word(used)
                );
            }
        }
    }
}

#[test]
fn nothing_else_lies_at_the_top() {
    const TOP: &[&str] = &[
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "docs",
        "eventlog",
        "projections",
        "saga",
        "sim",
        "target",
        "test",
        "transport",
    ];
    for entry in fs::read_dir(root()).expect("the root") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a plain name");
        assert!(
            name.starts_with('.') || TOP.contains(&name.as_str()),
            "{name} does not belong at the top"
        );
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files(&root().join("docs"), "md");
    documents.push(root().join("README.md"));
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().expect("a first part");
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = document.parent().expect("a folder").join(path);
            assert!(
                target.exists(),
                "{} links to {link}, which is not there",
                document.display()
            );
        }
    }
}

/// What the README shows of a saga is the demo's: each of its lines stands there too.
#[test]
fn the_saga_of_the_readme_is_the_demos() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a readme");
    let demo =
        fs::read_to_string(root().join("saga/app/src/demo/order.rs")).expect("the demo's saga");
    let (_, shown) = readme.split_once("```rust\n").expect("a saga");
    let (shown, _) = shown.split_once("```").expect("its end");
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        assert!(demo.contains(line), "the demo's saga has no line {line:?}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is there")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != ':' && c != '_')
        .next()
        .unwrap_or(text)
}
