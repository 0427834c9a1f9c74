//! A whole file is read as it was meant; what is wrong is told all at once, each with its line.

use super::*;

const SHOP: &str = r#"
name = "shop"
pause = "200ms"

[[journeys]]
name = "buyer"
weight = 3
[journeys.user]
login = "user-{zipf(100)}"
basket = "{value(login)}-basket"

[[journeys.steps]]
name = "look"
path = "/items/{int(1, 9)}"
headers = { authorization = "Bearer {value(session)}" }
think = "10ms..20ms"
times = "1..3"
parts = [{ path = "/style.css" }, { name = "picture", path = "/pictures/{int(1, 9)}" }]

[[journeys.steps]]
name = "log-in"
once = true
path = "/session"
body = '{"user":"{value(login)}"}'
expect = [201]
take = { session = "/token" }

[[journeys]]
name = "visitor"
[[journeys.steps]]
name = "look"
path = "/"
"#;

fn problems(text: &str) -> Vec<(usize, String)> {
    match parse(Path::new("a.toml"), text) {
        Err(FileError::Invalid(problems)) => problems.list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_read_as_it_was_meant() {
    let journeys = parse(Path::new("shop.toml"), SHOP).unwrap();
    assert_eq!((journeys.name.as_str(), journeys.pause), ("shop", Duration::from_millis(200)));
    let [buyer, visitor] = journeys.list.as_slice() else { panic!("two") };
    assert_eq!((buyer.weight, visitor.weight), (3, 1));
    let names: Vec<&str> = buyer.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["log-in", "look"], "what is done once comes first");
    let requests: Vec<(usize, &str, &str)> =
        journeys.requests().map(|one| (one.index, one.name.as_str(), one.method.as_str())).collect();
    let expected = [
        (0, "log-in", "POST"),
        (1, "look", "GET"),
        (2, "look/style.css", "GET"),
        (3, "look/picture", "GET"),
        (4, "look", "GET"),
    ];
    assert_eq!(requests, expected);
    let look = &buyer.steps[1];
    assert_eq!((look.think, look.times), ((Duration::from_millis(10), Duration::from_millis(20)), (1, 3)));
    assert_eq!(buyer.steps[0].request.take, [("session".to_owned(), "/token".to_owned())]);
    assert_eq!(journeys.steps().map(|step| step.index).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line() {
    let text = "timeout = \"soon\"\n[[journeys]]\nname = \"a b\"\n[[journeys.steps]]\nname = \"x\"\npath = \"items\"\n\
                think = \"2s..1s\"\ntimes = 0\n[[journeys.steps]]\nname = \"x\"\npath = \"/{value(session)}\"\n\
                take = { a = \"token\" }\nexpect = [99]\nbody = \"{zip(3)}\"\nheaders = { \"a b\" = \"c\" }\n";
    let found = problems(text);
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 3, 6, 7, 8, 11, 12, 13, 14, 15], "{found:?}");
    assert!(found[6].1.contains("session") && found[6].1.contains("take ="), "{found:?}");
}

#[test]
fn a_time_limit_of_nothing_is_refused_where_it_stands() {
    for nothing in ["0s", "0ms", "0.0s"] {
        let found = problems(&SHOP.replacen("pause =", &format!("timeout = \"{nothing}\"\npause ="), 1));
        assert!(found.len() == 1 && found[0].0 == 3 && found[0].1.contains("timeout = \"10s\""), "{found:?}");
    }
    assert!(parse(Path::new("a.toml"), &SHOP.replacen("pause = \"200ms\"", "pause = \"0s\"", 1)).is_ok());
}

#[test]
fn keys_that_are_not_known_and_files_without_journeys_are_refused() {
    assert!(problems("nam = \"a\"")[0].1.contains("unknown field `nam`"));
    assert!(problems("name = \"a\"")[0].1.contains("[[journeys]]"));
    assert!(problems("[[journeys]]\nname = \"a\"")[0].1.contains("no steps"));
    let once = "[[journeys]]\nname = \"a\"\n[[journeys.steps]]\nname = \"b\"\npath = \"/\"\nonce = true";
    assert!(problems(once)[0].1.contains("nothing is left"));
    let twice = "[[journeys]]\nname = \"a\"\n[[journeys.steps]]\nname = \"b\"\npath = \"/\"\n".repeat(2);
    assert!(problems(&twice)[0].1.contains("two journeys"));
    assert!(matches!(load(Path::new("/no/such/file")), Err(FileError::Unreadable { .. })));
}
