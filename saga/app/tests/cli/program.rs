//! The program `sagalog`, run as its users do.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program on a log. The log's path and its process ids are replaced in what it says.
pub(crate) async fn sagalog(log: &Path, line: &str) -> Ran {
    words(log, line.split_whitespace().map(str::to_owned).collect()).await
}

/// The same with words that may have spaces in them.
pub(crate) async fn words(log: &Path, words: Vec<String>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
    command
        .args(words)
        .env("SAGALOG_LOG", log)
        .env("USER", "ann")
        .env_remove("NO_COLOR");
    let path = log.display().to_string();
    // Beside the runtime of the test, which may have to answer the program.
    let ran = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let ran = ran
        .await
        .expect("it does not panic")
        .expect("the program is built");
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .expect("text")
            .replace(&path, "log.db")
    };
    Ran {
        exit: ran.status.code().expect("it was not killed"),
        out: text(ran.stdout),
        err: text(ran.stderr),
    }
}

impl Ran {
    /// What it printed, if that is all it did.
    #[track_caller]
    pub(crate) fn printed(self) -> String {
        assert_eq!((self.exit, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What it said when it failed in this way.
    #[track_caller]
    pub(crate) fn failed(self, exit: i32) -> String {
        assert_eq!(self.exit, exit, "{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        self.err
    }
}
