//! The known name that somebody may have meant.

/// The known name nearest to `found`, if any is near; the first of equally near ones.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = found.to_lowercase();
    let length = found.chars().count();
    let allowed = (length / 3).max(1);
    known
        .into_iter()
        // No distance is below the difference in length, which costs far less to find.
        .filter(|name| name.chars().count().abs_diff(length) <= allowed)
        .map(|name| {
            // Case is often all that is wrong.
            let distance = strsim::damerau_levenshtein(&lower, &name.to_lowercase());
            (distance, name)
        })
        .filter(|&(distance, name)| {
            let longer = name.chars().count().max(length);
            distance <= allowed && 2 * distance <= longer
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}
