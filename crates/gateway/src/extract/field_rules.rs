//! Fields that are wrong: of another type, missing, or impossible to pass on.
//!
//! Every other rule is the business of the service that owns the field; it names all that are broken together.

use service_kit::problem::{FieldError, Problem};

use crate::problem::ApiProblem;

/// What a request must keep so that it can be passed on, beyond the types of its fields.
pub(crate) trait Rules {
    /// Names every field that cannot be passed on.
    fn check(&self, _broken: &mut Broken) {}
}

/// The rules that a request breaks.
#[derive(Debug, Default)]
pub(crate) struct Broken(Vec<FieldError>);

impl Broken {
    /// Notes the rule unless it holds.
    pub(crate) fn unless(&mut self, holds: bool, field: &str, rule: &str) {
        if !holds {
            self.0.push(FieldError {
                field: field.to_owned(),
                rule: rule.to_owned(),
            });
        }
    }
}

/// `request`, if it keeps its rules.
pub(super) fn checked<T: Rules>(request: T) -> Result<T, ApiProblem> {
    let mut broken = Broken::default();
    request.check(&mut broken);
    if broken.0.is_empty() {
        Ok(request)
    } else {
        Err(Problem::fields(broken.0).into())
    }
}

/// What a reader's complaint means to the caller. The message is taken apart because it repeats the value, which may be
/// a password; what is answered never does.
pub(super) fn field_error(path: &str, message: &str) -> FieldError {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message);
    let at = |field: Option<&str>| match (path, field) {
        ("." | "", None) => "body".to_owned(),
        ("." | "", Some(field)) => field.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
    };
    let quoted = || message.split('`').nth(1);
    let error = |field: String, rule: &str| FieldError {
        field,
        rule: rule.to_owned(),
    };
    if message.starts_with("missing field") {
        error(at(quoted()), "is required")
    } else if message.starts_with("duplicate field") {
        error(at(quoted()), "must stand there once")
    } else if let Some((_, expected)) = message.rsplit_once(", expected ") {
        error(at(None), &format!("must be {}", plain(expected)))
    } else if message.starts_with("UUID parsing failed") {
        error(at(None), "must be a UUID")
    } else if ["invalid digit", "number too", "cannot parse integer"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        error(at(None), "must be a whole number in range")
    } else if message.starts_with("must ") {
        // One of our own readers.
        error(at(None), message)
    } else {
        error(at(None), "cannot be read")
    }
}

/// A reader's word for a type, in the words of the API.
fn plain(expected: &str) -> String {
    match expected {
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" => format!("a whole number from 0 to {}", u64::MAX),
        "i64" => "a whole number".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        _ if expected.starts_with("struct") => "an object".to_owned(),
        _ if expected.contains("UUID") => "a UUID".to_owned(),
        _ => expected.replace('`', ""),
    }
}
