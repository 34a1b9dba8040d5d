//! docs/errors.md: every problem code, from the tables that answers are made from and the document that promises them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use service_kit::problem::grpc_code;
use vocabulary::ProblemCode;

use crate::{openapi, problem};

/// Codes that no operation lists, because they are answered before a route is found.
pub const OF_NO_ROUTE: &[ProblemCode] = &[ProblemCode::RouteNotFound, ProblemCode::MethodNotAllowed];

/// The reference of all problem codes.
///
/// # Errors
/// The document cannot be written as JSON.
pub fn page() -> Result<String, serde_json::Error> {
    let document = serde_json::to_value(openapi::document())?;
    let (routes, all) = routes_by_code(&document);
    let mut page = String::from(
        "# Problem codes\n\n\
         <!-- Written by `cargo xtask docs` from what the gateway says; do not edit. -->\n\n\
         Every refusal of the HTTP API is an `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`\n\
         and a stable `code`; `type` is `/problems/` and the code, a name and not a page. `errors` names each wrong field\n\
         with its rule, `traceId` the trace. Over gRPC the same code is the `reason` of `google.rpc.ErrorInfo`\n\
         ([grpc.md](grpc.md)). Each route lists its codes in `/openapi.json`, as `x-problem-codes` of the response.\n\n\
         | Code | HTTP | gRPC | Meaning |\n|---|---|---|---|\n",
    );
    for code in ProblemCode::ALL {
        let status = problem::status(*code).as_u16();
        let meaning = code.meaning().trim();
        // Writing to a text cannot fail.
        let _ = writeln!(
            page,
            "| [`{code}`](#{code}) | {status} | {} | {meaning} |",
            grpc_word(*code)
        );
    }
    page.push_str("\n## Where they are answered\n");
    for code in ProblemCode::ALL {
        let _ = write!(page, "\n### {code}\n\n{}.\n\n", code.title());
        let on = routes.get(code.as_str()).map_or(&[][..], Vec::as_slice);
        if OF_NO_ROUTE.contains(code) {
            page.push_str("Whatever the path and the method.\n");
        } else if on.len() == all {
            page.push_str("Every route under `/v1` and the signing keys.\n");
        } else {
            for route in on {
                let _ = writeln!(page, "- `{route}`");
            }
        }
    }
    Ok(page)
}

/// The gRPC code as specifications write it: `INVALID_ARGUMENT`.
fn grpc_word(code: ProblemCode) -> String {
    let mut word = String::new();
    for letter in format!("{:?}", grpc_code(code)).chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_uppercase());
    }
    word
}

/// The operations that list a code, and how many list any.
fn routes_by_code(document: &Value) -> (BTreeMap<&str, Vec<String>>, usize) {
    let mut routes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut all = 0;
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let responses = operation["responses"].as_object().into_iter().flatten();
            let codes: Vec<_> = responses
                .filter_map(|(_, response)| response["x-problem-codes"].as_array())
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            all += usize::from(!codes.is_empty());
            for code in codes {
                routes
                    .entry(code)
                    .or_default()
                    .push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    (routes, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_answered_by_some_route_or_before_any() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let (routes, _) = routes_by_code(&document);
        for code in ProblemCode::ALL {
            assert_eq!(
                routes.contains_key(code.as_str()),
                !OF_NO_ROUTE.contains(code),
                "{code}"
            );
        }
    }
}
