//! Tests that need what not every machine has (root, loop devices, redis-server) say that they are passed over. Where all of
//! them must run (`OURO_TESTS_MUST_RUN` is set: `.ci/run` does it for root), that is a failure.

/// What a test is passed over for.
#[track_caller]
pub(crate) fn pass_over(why: &str) {
    assert!(
        std::env::var_os("OURO_TESTS_MUST_RUN").is_none(),
        "passed over, where all tests must run: {why}"
    );
    eprintln!("passed over: {why}");
}
