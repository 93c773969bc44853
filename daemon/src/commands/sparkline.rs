//! A small graph in characters, with a label below each column. Source: `sparkline.c` of Redis, in its filled form.

/// Columns of one part of the graph; more samples go below.
pub(super) const COLUMNS: usize = 80;
const ROWS: u64 = 4;
/// From low to high within one row.
const CHARACTERS: [char; 3] = ['_', 'o', '#'];
const STEPS: u64 = ROWS * CHARACTERS.len() as u64;

/// Draws samples and their labels, every line ended.
pub(super) fn draw(samples: &[(u64, String)], out: &mut String) {
    let low = samples.iter().map(|(value, _)| *value).min().unwrap_or(0);
    let high = samples.iter().map(|(value, _)| *value).max().unwrap_or(0);
    let range = (high - low).max(1);
    let step_of = |value: u64| ((value - low).saturating_mul(STEPS) / range).min(STEPS - 1);
    for (number, part) in samples.chunks(COLUMNS).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for row in (0..ROWS).rev() {
            let first = row * CHARACTERS.len() as u64;
            out.extend(part.iter().map(|(value, _)| match step_of(*value).checked_sub(first) {
                None => ' ',
                Some(step) => {
                    usize::try_from(step).ok().and_then(|at| CHARACTERS.get(at)).copied().unwrap_or('|')
                }
            }));
            out.push('\n');
        }
        out.extend(std::iter::repeat_n(' ', part.len()));
        out.push('\n');
        let label_len = part.iter().map(|(_, label)| label.len()).max().unwrap_or(0);
        for at in 0..label_len {
            out.extend(part.iter().map(|(_, label)| label.chars().nth(at).unwrap_or(' ')));
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_filled_and_labels_stand_upright() {
        let samples =
            [(101, "1s"), (200, "12m"), (500, "3d")].map(|(value, label)| (value, label.to_owned()));
        let mut text = String::new();
        super::draw(&samples, &mut text);
        assert_eq!(text, "  #\n  |\n  |\n_#|\n   \n113\ns2d\n m \n");
    }
}
