//! What a check of the sagas under way says.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::Arc,
};

use sagalog_sim::{ChangedVersion, Checked, Verdict};
use serde::Serialize;

use crate::{
    output::columns,
    words::{count, plain},
};

/// Whether the sagas under way of a log can go on with another build.
#[derive(Clone, Debug, Serialize)]
pub struct FleetReport {
    log: String,
    /// Only graphs were compared.
    structure_only: bool,
    breaks: bool,
    sagas: u64,
    versions: Vec<VersionReport>,
    changed: Vec<ChangedVersion>,
    checked: Vec<Checked>,
    /// How many first differences are kept.
    #[serde(skip)]
    kept: BTreeMap<Verdict, usize>,
}

/// How many sagas under way run one version of a definition, and how many of them can go on.
#[derive(Clone, Debug, Serialize)]
pub struct VersionReport {
    /// The definition's name; empty for sagas whose histories do not read.
    pub definition: Arc<str>,
    /// The version.
    pub version: u32,
    /// Sagas under way.
    pub live: u64,
    /// Those that the newest version of the build would have brought where they are, to the byte.
    pub compatible: u64,
    /// Those that stay on their version, which the build has.
    pub keep_old: u64,
    /// Those that the build cannot drive, or drives on otherwise.
    pub breaks: u64,
}

impl FleetReport {
    /// How many sagas are shown one by one unless more are asked for.
    pub(super) const SHOWN: usize = 20;

    /// How many first differences are kept of one verdict, for each may be as long as what a saga carries; of
    /// other sagas only the verdict and the reason.
    const DIFFERENCES: usize = 1_000;

    pub(super) fn new(log: &str, structure_only: bool, changed: Vec<ChangedVersion>) -> Self {
        Self {
            log: log.to_owned(),
            structure_only,
            breaks: !changed.is_empty(),
            sagas: 0,
            versions: Vec::new(),
            changed,
            checked: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, checked: Vec<Checked>) {
        for mut checked in checked {
            self.sagas += 1;
            self.breaks |= checked.verdict == Verdict::Breaks;
            if checked.difference.is_some() {
                let kept = self.kept.entry(checked.verdict).or_default();
                *kept += 1;
                if *kept > Self::DIFFERENCES {
                    checked.difference = None;
                }
            }
            let version = self.version_of(&checked);
            version.live += 1;
            match checked.verdict {
                Verdict::Compatible => version.compatible += 1,
                Verdict::KeepOld => version.keep_old += 1,
                _ => version.breaks += 1,
            }
            self.checked.push(checked);
        }
    }

    fn version_of(&mut self, checked: &Checked) -> &mut VersionReport {
        let key = |it: &VersionReport| (it.definition.clone(), it.version);
        let found = self
            .versions
            .binary_search_by_key(&(checked.definition.clone(), checked.version), key);
        let at = found.unwrap_or_else(|at| {
            let new = VersionReport {
                definition: checked.definition.clone(),
                version: checked.version,
                live: 0,
                compatible: 0,
                keep_old: 0,
                breaks: 0,
            };
            self.versions.insert(at, new);
            at
        });
        &mut self.versions[at]
    }

    /// Whether the build must not take the log over: a saga breaks, or a version was changed without another number.
    pub const fn breaks(&self) -> bool {
        self.breaks
    }

    /// How many sagas are under way.
    pub const fn sagas(&self) -> u64 {
        self.sagas
    }

    /// A line for each version that sagas under way run, by name and number.
    pub fn versions(&self) -> &[VersionReport] {
        &self.versions
    }

    /// What came of each saga, in the order in which they began.
    pub fn checked(&self) -> &[Checked] {
        &self.checked
    }

    /// Fails if the build must not take the log over.
    ///
    /// # Panics
    /// With what breaks, and why.
    #[track_caller]
    pub fn check(&self) {
        assert!(!self.breaks, "\n{self}");
    }

    /// In words, with at most so many sagas one by one: those that break first, and none that is compatible.
    pub(super) fn text(&self, shown: usize) -> String {
        let mut text = String::new();
        self.write(&mut text, shown)
            .expect("a String takes all text");
        text
    }

    fn write(&self, text: &mut String, shown: usize) -> fmt::Result {
        if self.structure_only {
            writeln!(
                text,
                "only graphs were compared: whether functions do the same is not known\n"
            )?;
        }
        for ChangedVersion {
            definition,
            version,
            recorded,
            ours,
        } in &self.changed
        {
            writeln!(
                text,
                "{definition} {version} was changed without another number, so the build does not start: \
                 {recorded} in the log, {ours} in the build\n"
            )?;
        }
        let total = count(self.sagas, "saga");
        if self.sagas == 0 {
            return writeln!(text, "{}: {total} under way", self.log);
        }
        writeln!(text, "{}\n", self.table())?;
        let mut worst: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for checked in &self.checked {
            worst.entry(checked.verdict).or_default().push(checked);
        }
        worst.remove(&Verdict::Compatible);
        let listed: Vec<_> = worst.values().rev().flatten().collect();
        for checked in listed.iter().take(shown) {
            for line in checked.to_string().lines() {
                writeln!(text, "{}", plain(line))?;
            }
            writeln!(text)?;
        }
        if listed.len() > shown {
            let more = count((listed.len() - shown) as u64, "more saga");
            writeln!(text, "and {more}: --limit, or --json\n")?;
        }
        let said = if self.breaks {
            "the build must not take over"
        } else {
            "the build may take over"
        };
        writeln!(text, "{}: {total} under way, {said}", self.log)
    }

    fn table(&self) -> String {
        let mut table = columns([
            "DEFINITION",
            "VERSION",
            "UNDER WAY",
            "COMPATIBLE",
            "KEEP-OLD",
            "BREAKS",
        ]);
        for version in &self.versions {
            table.add_row([
                version.definition.to_string(),
                version.version.to_string(),
                version.live.to_string(),
                version.compatible.to_string(),
                version.keep_old.to_string(),
                version.breaks.to_string(),
            ]);
        }
        table.trim_fmt()
    }
}

impl fmt::Display for FleetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Self::SHOWN))
    }
}
