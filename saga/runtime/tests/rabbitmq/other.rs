//! Another process: this test program again, in one of its tests that runs for ever.

use std::{
    env,
    process::{Child, Command},
};

/// Another process, killed when this is dropped.
pub(crate) struct Other(Child);

impl Other {
    /// Runs this test, which finds what it needs in this variable.
    pub(crate) fn running(test: &str, variable: &str, value: &str) -> Self {
        let program = env::current_exe().expect("this program");
        let child = Command::new(program)
            .args(["--exact", test, "--nocapture"])
            .env(variable, value)
            .spawn();
        Self(child.expect("a child"))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().expect("it is there until it is waited for");
        self.0.wait().expect("it was killed");
    }
}
