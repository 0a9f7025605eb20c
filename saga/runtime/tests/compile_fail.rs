//! What must not compile, and what the compiler says about it.

#[test]
fn a_handler_of_another_shape_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
