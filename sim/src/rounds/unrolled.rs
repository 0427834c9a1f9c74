//! Configurations with many lines that are alike.

/// A template in which each line that names `{n}` stands so often, with the numbers from 1 in place of it.
#[must_use]
pub fn unrolled(template: &str, copies: usize) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        if line.contains("{n}") {
            (1..=copies).for_each(|number| text += &(line.replace("{n}", &number.to_string()) + "\n"));
        } else {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_each_number() {
        let text = unrolled("a\nhost s{n} is {n}\nb", 200);
        assert_eq!(text.lines().count(), 202);
        assert!(text.starts_with("a\nhost s1 is 1\nhost s2 is 2\n") && text.ends_with("host s200 is 200\nb\n"));
    }
}
