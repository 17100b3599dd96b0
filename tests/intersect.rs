//! Intersections in conductance space.

mod program;

use program::{homarus, stderr, stdout};

#[test]
fn a_scene_without_regulation_is_refused() {
    let output = homarus(&["intersect", "half_centre"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let message = stderr(&output);
    assert!(
        message.contains("homeostasis regulates no cell of `half_centre`"),
        "{message}"
    );
}
