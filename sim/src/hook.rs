//! Where a planted bug of an adapter takes effect: `mutant!(world, Name)` is `false` without the
//! feature.

#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($world:expr, $name:ident) => {
        $world.setup().rules.mutant == Some(sagalog_engine::mutants::Mutant::$name)
    };
}

#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($world:expr, $name:ident) => {
        false
    };
}
