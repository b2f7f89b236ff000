//! Lets a request pass only with a known API key, and tells the upstream whose key it was.

mod config;

use std::rc::Rc;

use config::{Config, DEFAULT_HEADER};
use log::{error, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

/// Names the identity for the upstream; what a client sends under this name is dropped.
const IDENTITY_HEADER: &str = "x-consumer";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { config: None }));
}}

struct Root {
    config: Option<Rc<Config>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        match Config::parse(&bytes) {
            Ok(config) => {
                self.config = Some(Rc::new(config));
                true
            }
            Err(reason) => {
                error!("api-key: configuration: {reason}");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Gate { config: self.config.clone() }))
    }
}

struct Gate {
    config: Option<Rc<Config>>,
}

impl Context for Gate {}

impl HttpContext for Gate {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let Some(config) = &self.config else {
            return self.refuse(DEFAULT_HEADER);
        };
        // Bytes, not text: a key that is not UTF-8 must be refused, not end the instance.
        let identity = self
            .get_http_request_header_bytes(&config.header)
            .and_then(|key| config.identity(&key).map(str::to_owned));
        let Some(identity) = identity else {
            return self.refuse(&config.header);
        };
        self.set_http_request_header(&config.header, None);
        self.set_http_request_header(IDENTITY_HEADER, Some(&identity));
        Action::Continue
    }
}

impl Gate {
    fn refuse(&self, header: &str) -> Action {
        warn!("api-key: refused, no known key in {header}");
        let challenge = format!("ApiKey header=\"{header}\"");
        self.send_http_response(
            401,
            vec![("www-authenticate", &challenge), ("content-type", "application/json")],
            Some(format!("{{\"error\":\"a known API key is needed in {header}\"}}\n").as_bytes()),
        );
        Action::Pause
    }
}
