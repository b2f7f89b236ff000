//! The configuration: which header carries the key, and who each key belongs to.

use serde_json::Value;

pub const DEFAULT_HEADER: &str = "x-api-key";

pub struct Config {
    pub header: String,
    keys: Vec<(Vec<u8>, String)>,
}

impl Config {
    /// Parses the filter's configuration. The text of an error names the field that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Config, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
        let object = value.as_object().ok_or("must be an object")?;
        if let Some(unknown) = object.keys().find(|key| *key != "header" && *key != "keys") {
            return Err(format!("{unknown}: unknown field (known: header, keys)"));
        }
        let header = match object.get("header") {
            None => DEFAULT_HEADER.to_string(),
            Some(value) => header_name(value)?,
        };
        Ok(Config { header, keys: keys(object.get("keys"))? })
    }

    /// The identity a key belongs to. Takes the same time whichever key matches, or none:
    /// every key is compared to its last byte.
    pub fn identity(&self, offered: &[u8]) -> Option<&str> {
        let mut found = None;
        for (key, identity) in &self.keys {
            if same(key, offered) {
                found = Some(identity.as_str());
            }
        }
        found
    }
}

fn header_name(value: &Value) -> Result<String, String> {
    let name = value.as_str().ok_or("header: must be a string")?.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("header: must be a header name".to_string());
    }
    Ok(name)
}

fn keys(value: Option<&Value>) -> Result<Vec<(Vec<u8>, String)>, String> {
    let object = value
        .and_then(Value::as_object)
        .filter(|object| !object.is_empty())
        .ok_or("keys: must be an object of at least one key with its identity")?;
    let mut keys = Vec::with_capacity(object.len());
    for (position, (key, identity)) in object.iter().enumerate() {
        // The key itself is a secret and never part of a message.
        let identity = identity
            .as_str()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
            .ok_or(format!("keys: identity number {} must be printable ASCII text", position + 1))?;
        if key.is_empty() {
            return Err("keys: an empty key would let everybody in".to_string());
        }
        keys.push((key.as_bytes().to_vec(), identity.to_string()));
    }
    Ok(keys)
}

/// Equality in a time that depends on the length of `secret` only.
fn same(secret: &[u8], offered: &[u8]) -> bool {
    let mut difference = (secret.len() != offered.len()) as u8;
    for (index, byte) in secret.iter().enumerate() {
        difference |= byte ^ offered.get(index).copied().unwrap_or(0);
        difference = core::hint::black_box(difference);
    }
    difference == 0
}
