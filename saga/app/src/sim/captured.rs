//! A captured history: what is behind it, and a test of it.

use std::{path::Path, process::ExitCode};

use sagalog_sim::{Capture, Inferred, Sim};
use serde::Serialize;

use crate::{
    App, CliError, Exit, Output,
    capture::{no_definition, other_definition, read},
};

/// What was found, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether the plan brings the recorded history about again.
    reproduces: bool,
    #[serde(flatten)]
    inferred: &'a Inferred,
    /// What of the engine's invariants or of the author's properties the run breaks.
    violated: Option<String>,
    /// The test, as Rust.
    test: &'a str,
}

/// Infers, and prints the test.
pub(super) fn run(file: &Path, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let capture = read(file)?;
    let sim = world(&capture, &file.display().to_string(), app)?;
    sim.sound().map_err(|error| super::unsound(&error))?;
    let inferred = sim.infer(&capture);
    let world = sim.play(&inferred.plan);
    let violated = world.violation();
    let violated = violated.map(|it| format!("{}: {}", it.invariant, it.what));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let test = inferred.test(&capture, &name);
    if output.is_json() {
        output.json(&Report {
            reproduces: inferred.reproduces(),
            inferred: &inferred,
            violated,
            test: &test,
        })?;
    } else {
        output.line(&inferred)?;
        if let Some(violated) = violated {
            output.line(format_args!("it violates {violated}"))?;
        }
        output.line(format_args!("\n{}", test.trim_end()))?;
    }
    Ok(if inferred.reproduces() {
        Exit::Done
    } else {
        Exit::Failed
    }
    .into())
}

/// The program's own simulation of the saga, if it has one, else one of its definition.
pub(crate) fn world(capture: &Capture, source: &str, app: &App) -> Result<Sim, CliError> {
    let runs = capture.graph();
    let own = app.simulations().find(|sim| {
        let graph = sim.definition().graph();
        graph.saga == runs.saga && graph.version == runs.version
    });
    let world = match own {
        Some(own) => own.follows(capture),
        None => {
            let definition = app.definition_of(capture);
            let definition = definition.ok_or_else(|| no_definition(capture))?;
            Sim::of_capture(definition.clone(), capture)
        }
    };
    world.map_err(|error| other_definition(source, &error))
}
