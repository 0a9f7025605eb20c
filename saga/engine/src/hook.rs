//! Where a planted bug takes effect: `mutant!(rules, Name)` is `false` in every build but the
//! simulator's own.

#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($rules:expr, $name:ident) => {
        $rules.mutant == Some($crate::mutants::Mutant::$name)
    };
}

#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($rules:expr, $name:ident) => {{
        let _ = &$rules;
        false
    }};
}
