//! For tests: docs/performance.md describes every field that a bench writes, and no other.

use std::collections::BTreeSet;

use serde_json::Value;

const PAGE: &str = include_str!("../../../../docs/performance.md");

/// The paths of every value: arrays as `[]`, members of the objects that are called one of `maps` as `{}`.
pub(crate) fn written(value: &Value, maps: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(value, "", maps, &mut found);
    found
}

fn walk(value: &Value, path: &str, maps: &[&str], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let of_names = maps.iter().any(|map| path.ends_with(map));
            for (name, value) in members {
                let name = if of_names { "{}" } else { name };
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, &format!("{path}{dot}{name}"), maps, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(item, &format!("{path}[]"), maps, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The fields in the tables of this bench's section; `{one,two}` stands for each of them.
pub(crate) fn documented(bench: &str) -> BTreeSet<String> {
    let heading = format!("## `cargo xtask bench {bench}`");
    let section = PAGE.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let fields = section.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    fields.flat_map(each).collect()
}

fn each(field: &str) -> Vec<String> {
    let choice = field.match_indices('{').find_map(|(at, _)| {
        let (names, after) = field[at + 1..].split_once('}')?;
        names.contains(',').then_some((&field[..at], names, after))
    });
    match choice {
        Some((before, names, after)) => names
            .split(',')
            .flat_map(|name| each(&format!("{before}{name}{after}")))
            .collect(),
        None => vec![field.to_owned()],
    }
}
