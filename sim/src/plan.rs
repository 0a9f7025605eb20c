//! A plan: which faults happen where. A failing run is its plan, not a seed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{
    fault::{BadFault, Fault},
    site::{BadSite, Site},
};

/// The faults of a run, by site. Everything that is not named is healthy.
///
/// Its text has one fault a line, `SITE: FAULT`; lines that begin with `#` are comments.
///
/// ```
/// # use sagalog_sim::Plan;
/// let plan: Plan = "reply s1 charge#1: lost\ncommit s1 charge#2: crash after".parse()?;
/// assert_eq!(plan.len(), 2);
/// assert_eq!(plan.to_string().parse::<Plan>()?, plan);
/// # Ok::<(), sagalog_sim::BadPlan>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Plan {
    faults: BTreeMap<Site, Fault>,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn healthy() -> Self {
        Self::default()
    }

    /// The same with one more fault.
    #[must_use]
    pub fn with(&self, site: Site, fault: Fault) -> Self {
        let mut plan = self.clone();
        plan.faults.insert(site, fault);
        plan
    }

    /// The same without the fault at a site.
    #[must_use]
    pub fn without(&self, site: &Site) -> Self {
        let mut plan = self.clone();
        plan.faults.remove(site);
        plan
    }

    /// What goes wrong at a site.
    pub fn at(&self, site: &Site) -> Option<Fault> {
        self.faults.get(site).copied()
    }

    /// How many faults there are.
    pub fn len(&self) -> usize {
        self.faults.len()
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// How many things go wrong: to make a world smaller is not one of them.
    pub fn faults(&self) -> usize {
        let faults = self.iter().filter(|(_, fault)| fault.is_tried());
        faults.count()
    }

    /// Whether the engine promises to mask all of it.
    pub fn is_masked(&self) -> bool {
        self.iter().all(|(site, fault)| fault.is_masked(site.point))
    }

    /// The faults in the order of their sites.
    pub fn iter(&self) -> impl Iterator<Item = (&Site, Fault)> {
        self.faults.iter().map(|(site, fault)| (site, *fault))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (site, fault)) in self.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}{site}: {fault}")?;
        }
        Ok(())
    }
}

/// A text that is no plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}")]
pub struct BadPlan {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub why: WhyBad,
}

/// What is wrong with a line of a plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyBad {
    /// It has no `: `.
    #[error("it is not `PLACE: FAULT`; an example is `reply s1 charge#1: lost`")]
    NoColon,
    /// It names no site.
    #[error(transparent)]
    Site(#[from] BadSite),
    /// It names no fault.
    #[error(transparent)]
    Fault(#[from] BadFault),
    /// The fault cannot happen there.
    #[error("`{fault}` cannot happen at `{site}`; what can is: {}", possible(site))]
    Elsewhere {
        /// The site.
        site: Site,
        /// The fault.
        fault: Fault,
    },
    /// The site has a fault already.
    #[error("`{0}` has a fault already")]
    Twice(Site),
}

impl FromStr for Plan {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let mut plan = Self::healthy();
        for (at, line) in text.lines().enumerate() {
            // A report shows a plan behind this word.
            let line_text = line.strip_prefix("plan  ").unwrap_or(line).trim();
            if line_text.is_empty() || line_text.starts_with('#') {
                continue;
            }
            let (site, fault) = fault_of(line_text).map_err(|why| BadPlan { line: at + 1, why })?;
            if plan.faults.insert(site.clone(), fault).is_some() {
                return Err(BadPlan {
                    line: at + 1,
                    why: WhyBad::Twice(site),
                });
            }
        }
        Ok(plan)
    }
}

fn possible(site: &Site) -> String {
    let faults = Fault::at_site(site).map(|fault| fault.to_string());
    faults.collect::<Vec<_>>().join(", ")
}

fn fault_of(line: &str) -> Result<(Site, Fault), WhyBad> {
    let (site, fault) = line.split_once(": ").ok_or(WhyBad::NoColon)?;
    let (site, fault): (Site, Fault) = (site.parse()?, fault.parse()?);
    if Fault::at_site(&site).any(|possible| possible == fault) {
        Ok((site, fault))
    } else {
        Err(WhyBad::Elsewhere { site, fault })
    }
}
