//! Tables inside a document that people write: what stands between two marks is made by a command and by nobody else.

/// The line before the tables.
pub const BEGIN: &str = "<!-- matrix -->";
/// The line after them.
pub const END: &str = "<!-- /matrix -->";

/// The document with these tables between its marks.
///
/// # Errors
/// A sentence for the user when the marks are not there, each once and in order.
pub fn put_between_marks(document: &str, tables: &str) -> Result<String, String> {
    let (before, inside_and_after) = split_once(document, BEGIN)?;
    let (_, after) = split_once(inside_and_after, END)?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim_end()))
}

/// What stands between the marks of a document.
///
/// # Errors
/// As those of [`put_between_marks`].
pub fn between_marks(document: &str) -> Result<&str, String> {
    let (_, inside_and_after) = split_once(document, BEGIN)?;
    split_once(inside_and_after, END).map(|(inside, _)| inside)
}

fn split_once<'a>(text: &'a str, mark: &str) -> Result<(&'a str, &'a str), String> {
    match text.matches(mark).count() {
        1 => Ok(text.split_once(mark).expect("it is there")),
        count => {
            Err(format!("the line {mark} stands there {count} times, and once is needed, {BEGIN} first"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_what_stood_between_the_marks_and_nothing_else() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let put = put_between_marks(&document, "| new |\n\n").unwrap();
        assert_eq!(put, format!("before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"));
        // Put in again, nothing changes.
        assert_eq!(put_between_marks(&put, "| new |\n\n").unwrap(), put);
        assert_eq!(between_marks(&put).unwrap().trim(), "| new |");
    }

    #[test]
    fn documents_without_their_marks_are_left_alone() {
        for wrong in ["", BEGIN, END] {
            assert!(put_between_marks(wrong, "x").unwrap_err().contains("matrix -->"), "{wrong}");
        }
        assert!(put_between_marks(&format!("{END}{BEGIN}"), "x").is_err());
        assert!(put_between_marks(&format!("{BEGIN}{END}{BEGIN}{END}"), "x").is_err());
    }
}
