//! Parameters, bodies, answers and their parts.

use serde_json::{Map, Value, json};

use super::{Lift, Taking};

/// Fields that are described in other ways than as parameters (OpenAPI 3.1, "Parameter Object").
const NOT_PARAMETERS: [&str; 3] = ["accept", "content-type", "authorization"];

impl Lift<'_> {
    /// The parameters of an operation but those in its path, which are the route's too; each name once.
    pub(in crate::openapi) fn parameters<'v>(&mut self, all: impl Iterator<Item = &'v Value>) -> Vec<Value> {
        let mut seen: Vec<(String, String)> = Vec::new();
        let mut taken = Vec::new();
        for value in all {
            let Some(resolved) = self.source.resolved("parameters", value).and_then(identity) else { continue };
            if resolved.0 == "path" || seen.contains(&resolved) {
                continue;
            }
            let lifted = match super::reference(value) {
                Some(leads_to) => self.referring("parameters", leads_to),
                None => self.parameter(value),
            };
            if let Some(parameter) = lifted {
                seen.push(resolved);
                taken.push(parameter);
            }
        }
        taken
    }

    /// A parameter; `None` where it is none.
    pub(in crate::openapi) fn parameter(&mut self, value: &Value) -> Option<Value> {
        let (place, name) = identity(value)?;
        let styles: &[&str] = match &*place {
            "path" => &["simple", "label", "matrix"],
            "query" => &["form", "spaceDelimited", "pipeDelimited", "deepObject"],
            "header" => &["simple"],
            _ => &["form"],
        };
        let mut parameter = Taking::new(value);
        parameter.put("name", value.get("name").and_then(Value::as_str).unwrap_or(&*name)).put("in", &*place);
        parameter.texts(&["description"]).flags(&["required", "deprecated"]).extensions();
        if place == "query" {
            parameter.flags(&["allowEmptyValue"]);
        }
        if place == "path" {
            parameter.put("required", true);
        }
        self.content_or_schema(&mut parameter, styles, place == "query");
        Some(parameter.done().into())
    }

    /// A header of an answer.
    pub(super) fn header(&mut self, value: &Value) -> Value {
        let mut header = Taking::new(value);
        header.texts(&["description"]).flags(&["required", "deprecated"]).extensions();
        self.content_or_schema(&mut header, &["simple"], false);
        header.done().into()
    }

    /// How a value is written: by one kind of content, or by a schema in a style.
    fn content_or_schema(&mut self, taking: &mut Taking<'_>, styles: &[&str], may_reserve: bool) {
        let from = taking.from;
        let content = from.get("content").and_then(Value::as_object).filter(|content| content.len() == 1);
        if let Some((kind, media)) = content.and_then(|content| content.iter().next()) {
            let media = self.media_type(media);
            taking.put("content", json!({ kind: media }));
            return;
        }
        let schema = from.get("schema").map_or_else(|| json!({}), |schema| self.schema(schema));
        taking.put("schema", schema);
        taking.take("style", |style| style.as_str().is_some_and(|style| styles.contains(&style))).flags(&["explode"]);
        if may_reserve {
            taking.flags(&["allowReserved"]);
        }
        self.examples(taking);
    }

    /// One example, or several under names.
    fn examples(&mut self, taking: &mut Taking<'_>) {
        let from = taking.from;
        if from.get("example").is_some() {
            taking.take("example", |_| true);
            return;
        }
        let named = from.get("examples").and_then(Value::as_object).into_iter().flatten();
        let example = |(name, value): (&String, &Value)| {
            Some((name.clone(), self.object_or_reference("examples", value, |lift, value| lift.example(value))?))
        };
        let examples: Map<String, Value> = named.filter_map(example).collect();
        if !examples.is_empty() {
            taking.put("examples", examples);
        }
    }

    /// An example.
    pub(super) fn example(&mut self, value: &Value) -> Value {
        let mut example = Taking::new(value);
        example.texts(&["summary", "description"]).take("value", |_| true).extensions();
        example.done().into()
    }

    fn media_type(&mut self, value: &Value) -> Value {
        let mut media = Taking::new(value);
        media.extensions();
        if let Some(schema) = value.get("schema") {
            let schema = self.schema(schema);
            media.put("schema", schema);
        }
        self.examples(&mut media);
        let encodings = value.get("encoding").and_then(Value::as_object).into_iter().flatten();
        let encodings: Map<String, Value> = encodings
            .filter(|(_, value)| value.is_object())
            .map(|(name, value)| (name.clone(), encoding(value)))
            .collect();
        if !encodings.is_empty() {
            media.put("encoding", encodings);
        }
        media.done().into()
    }

    fn content(&mut self, value: Option<&Value>) -> Map<String, Value> {
        let kinds = value.and_then(Value::as_object).into_iter().flatten().filter(|(_, media)| media.is_object());
        kinds.map(|(kind, media)| (kind.clone(), self.media_type(media))).collect()
    }

    /// What a request brings.
    pub(super) fn request_body(&mut self, value: &Value) -> Value {
        let mut body = Taking::new(value);
        body.texts(&["description"]).flags(&["required"]).extensions();
        body.put("content", self.content(value.get("content")));
        body.done().into()
    }

    /// What a request brings, or a reference to it.
    pub(in crate::openapi) fn request_body_or_reference(&mut self, value: &Value) -> Option<Value> {
        self.object_or_reference("requestBodies", value, |lift, value| lift.request_body(value))
    }

    /// An answer.
    pub(super) fn response(&mut self, value: &Value) -> Value {
        let mut response = Taking::new(value);
        response.texts(&["description"]).extensions();
        if !response.into.contains_key("description") {
            response.put("description", "");
        }
        let headers = value.get("headers").and_then(Value::as_object).into_iter().flatten();
        let header = |(name, value): (&String, &Value)| {
            Some((name.clone(), self.object_or_reference("headers", value, |lift, value| lift.header(value))?))
        };
        let headers: Map<String, Value> =
            headers.filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")).filter_map(header).collect();
        if !headers.is_empty() {
            response.put("headers", headers);
        }
        let content = self.content(value.get("content"));
        if !content.is_empty() {
            response.put("content", content);
        }
        response.done().into()
    }

    /// The answers of an operation, by status.
    pub(in crate::openapi) fn responses(&mut self, value: Option<&Value>) -> Map<String, Value> {
        let all = value.and_then(Value::as_object).into_iter().flatten().filter(|(status, _)| is_status(status));
        let response = |(status, value): (&String, &Value)| {
            Some((status.clone(), self.object_or_reference("responses", value, |lift, value| lift.response(value))?))
        };
        all.filter_map(response).collect()
    }
}

/// Where a parameter stands and what it is called, in a form that tells two apart; `None` where it is none.
fn identity(value: &Value) -> Option<(String, String)> {
    let (place, name) = (value.get("in")?.as_str()?, value.get("name")?.as_str()?);
    let is_known = matches!(place, "path" | "query" | "header" | "cookie");
    let folded = if place == "header" { name.to_ascii_lowercase() } else { name.to_owned() };
    let is_other = place == "header" && NOT_PARAMETERS.contains(&&*folded);
    (is_known && !is_other && !name.is_empty()).then(|| (place.to_owned(), folded))
}

fn encoding(value: &Value) -> Value {
    let styles = ["form", "spaceDelimited", "pipeDelimited", "deepObject"];
    let mut encoding = Taking::new(value);
    encoding.texts(&["contentType"]).flags(&["explode", "allowReserved"]).extensions();
    encoding.take("style", |style| style.as_str().is_some_and(|style| styles.contains(&style)));
    encoding.done().into()
}

/// `200`, `4XX`, `default`.
fn is_status(text: &str) -> bool {
    let digits = |rest: &str| rest == "XX" || rest.bytes().all(|b| b.is_ascii_digit());
    text == "default"
        || text.len() == 3 && text.is_ascii() && matches!(text.as_bytes()[0], b'1'..=b'5') && digits(&text[1..])
}
