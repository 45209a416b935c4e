//! The JSON Schema against documents: what compiles is valid, and what has the wrong form is not.

use config::{compile, load_text, schema};
use serde_json::{Value, json};

fn is_valid(document: &Value) -> bool {
    let validator = jsonschema::draft202012::new(&schema()).expect("the schema is one");
    validator.is_valid(document)
}

/// A document as an editor with a YAML 1.2 reader hands it to a validator. JSON only: that is YAML too.
fn check(document: &Value, expect: bool) {
    assert_eq!(is_valid(document), expect, "schema: {document:#}");
    let loaded = load_text(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/x.json").as_ref(), document.to_string());
    let compiled = loaded.and_then(|loaded| compile(&loaded, None));
    assert_eq!(compiled.is_ok(), expect, "compile: {document:#}\n{:?}", compiled.err());
}

fn with_route(route: &Value) -> Value {
    json!({
        "version": 1,
        "listeners": { "web": { "bind": ["*:80"], "http": { "sites": [{ "hosts": ["*"], "routes": [route] }] } } },
        "clusters": { "a": { "endpoints": ["10.0.0.1:80"] }, "b": { "endpoints": ["10.0.0.2:80"] } },
    })
}

fn with_cluster(cluster: &Value) -> Value {
    json!({ "version": 1, "clusters": { "a": cluster } })
}

fn with_listener(field: &str, value: Value) -> Value {
    let mut document = json!({
        "version": 1,
        "listeners": { "a": { "bind": ["*:80"], "tcp": "a", "trusted": ["unix"] } },
        "clusters": { "a": { "endpoints": ["10.0.0.1:80"] } },
    });
    document["listeners"]["a"][field] = value;
    document
}

fn with_tls(tls: &Value) -> Value {
    let mut document = with_listener("tls", tls.clone());
    document["secrets"] = json!({ "shop": { "cert": "shop.pem", "key": { "file": "shop.key" } } });
    document
}

fn with_vip(field: &str, value: Value) -> Value {
    let mut vip = json!({ "addresses": ["203.0.113.1"], "ports": ["tcp/80"], "dsr": "l2", "to": "a" });
    vip[field] = value;
    json!({ "version": 1, "clusters": { "a": { "endpoints": ["10.0.0.1"] } }, "vips": { "a": vip } })
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn forms_that_are_right() {
    for document in [
        json!({ "version": 1 }),
        json!({ "version": 1, "x-free": [1, { "a": null }], "workers": "auto", "access_log": "stdout" }),
        json!({ "version": 1, "workers": 8, "access_log": { "to": "a.log", "format": "text", "fields": ["time"] }, "user": 65534 }),
        json!({ "version": 1, "admin": { "bind": "unix:a.sock", "metrics": "127.0.0.1:1" }, "defaults": { "timeouts": { "idle": "none" } } }),
        with_route(&json!({ "to": "a" })),
        with_route(&json!({ "to": { "a": 1, "b": 0 }, "retry": 3, "timeouts": { "request": "5s" } })),
        with_route(&json!({ "to": "a", "match": { "path": "/a/*", "methods": ["GET", "M-SEARCH"] }, "name": "a" })),
        with_route(&json!({ "reply": 404 })),
        with_route(&json!({ "reply": { "status": 503, "body": "no" } })),
        with_route(&json!({ "to": "a", "request": { "headers": { "set": { "x-a": 1 }, "add": { "x-b": "c" }, "remove": ["x-c"] } } })),
        with_cluster(
            &json!({ "endpoints": ["10.0.0.1:80", "[::1]:80", "unix:a", { "address": "10.0.0.2:80", "weight": 3, "labels": { "a": true } }] }),
        ),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "limits": { "connections": "none", "pending": 5 }, "proxy_protocol": "v1" })),
        with_cluster(
            &json!({ "endpoints": ["10.0.0.1:80"], "health": [{ "http": "/healthz", "interval": "5s", "rise": 1 }, { "tcp": {} }] }),
        ),
        with_cluster(
            &json!({ "endpoints": ["10.0.0.1:80"], "health": [{ "http": { "host": "a:1", "status": [200, "300-399"] }, "port": 81 }] }),
        ),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "protocol": "http2", "health": [{ "grpc": {}, "jitter": 0 }] })),
        with_vip("ports", json!(["tcp/443", "tcp/8000-8999", "udp/all"])),
        with_vip("dsr", json!({ "via": "gue", "origins": "sluice" })),
        json!({ "version": 1, "l4": { "interfaces": ["eth0"], "table_size": 4093, "pools": { "a": { "addresses": ["10.0.0.1"], "ports": "1-2" } } } }),
        json!({ "version": 1, "vips": {}, "l4": null }),
        with_listener("on_change", json!("drain(5s)")),
        with_listener("limits", json!({ "header_bytes": "16KiB", "headers": 5, "body_bytes": "none" })),
        with_listener("proxy_protocol", json!("accept")),
        with_listener("bind", json!(["*:80", "[::1]:81", "unix:a.sock", "127.0.0.1:8080"])),
        with_tls(&json!({ "certificates": ["shop"] })),
        with_tls(&json!({ "certificates": ["shop"], "versions": ["tls13"], "groups": ["X25519"], "alpn": [], "tickets": "none" })),
        with_tls(&json!({ "certificates": ["shop"], "tickets": { "rotate": "1h" }, "key_log": "keys.log" })),
        with_tls(&json!({ "certificates": ["shop"], "clients": { "ca": { "file": "tls/ca.pem" }, "verify": "optional", "names": ["a"] } })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:443"], "tls": "shop.example.com", "protocol": "auto" })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:443"], "tls": { "verify": "none", "suites": ["TLS_AES_128_GCM_SHA256"] } })),
    ] {
        check(&document, true);
    }
}

#[test]
fn forms_that_are_wrong() {
    for document in [
        json!({ "version": 2 }),
        json!({ "version": 1, "listner": {} }),
        json!({ "version": 1, "workers": 0 }),
        json!({ "version": 1, "secrets": { "a": { "cert": "a.pem" } } }),
        json!({ "version": 1, "secrets": { "a": { "cert": "a.pem", "key": { "path": "a.key" } } } }),
        with_vip("ports", json!(["sctp/80"])),
        with_vip("dsr", json!("wire")),
        with_vip("hash", json!("port")),
        json!({ "version": 1, "l4": { "table_size": 1000 } }),
        json!({ "version": 1, "defaults": { "timeouts": { "idle": 5 } } }),
        json!({ "version": 1, "defaults": { "timeouts": { "idle": "5 s" } } }),
        json!({ "version": 1, "access_log": { "to": "a", "fields": ["nothing"] } }),
        json!({ "version": 1, "admin": { "bind": "127.0.0.1:80" } }),
        with_route(&json!({ "to": ["a"] })),
        with_route(&json!({ "to": {} })),
        with_route(&json!({ "to": { "a": -1 } })),
        with_route(&json!({ "to": "a", "match": { "path": "api" } })),
        with_route(&json!({ "to": "a", "match": { "path": "/*/api" } })),
        with_route(&json!({ "to": "a", "match": { "methods": ["get"] } })),
        with_route(&json!({ "to": "a", "retry": { "when": [] } })),
        with_route(&json!({ "reply": 99 })),
        with_route(&json!({ "to": "a", "request": { "headers": { "replace": {} } } })),
        with_cluster(&json!({})),
        with_cluster(&json!({ "endpoints": "10.0.0.1:80" })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "health": { "tcp": {} } })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "health": [{ "http": { "path": "healthz" } }] })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "health": [{ "http": { "status": [99] } }] })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "health": [{ "tcp": {}, "fall": 0 }] })),
        with_cluster(&json!({ "endpoints": ["origin:80"] })),
        with_cluster(&json!({ "endpoints": [{ "weight": 1 }] })),
        with_cluster(&json!({ "endpoints": [{ "address": "10.0.0.1:80", "weight": 0 }] })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:80"], "balance": "best" })),
        with_listener("on_change", json!("close")),
        with_listener("limits", json!({ "connections": 0 })),
        with_listener("trusted", json!(["all"])),
        with_listener("bind", json!(["80"])),
        with_listener("tls", json!({})),
        with_tls(&json!({ "certificates": "shop" })),
        with_tls(&json!({ "certificates": ["shop"], "versions": ["tls10"] })),
        with_tls(&json!({ "certificates": ["shop"], "tickets": "some" })),
        with_tls(&json!({ "certificates": ["shop"], "clients": { "verify": "required" } })),
        with_cluster(&json!({ "endpoints": ["10.0.0.1:443"], "tls": { "suites": ["NULL"] } })),
    ] {
        check(&document, false);
    }
}

#[test]
fn effective_forms_of_the_examples_are_valid() {
    for name in ["ten_lines.yaml", "pop.yaml", "sites.d/blog.yaml"] {
        let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(is_valid(&to_json(&text)), "{name}");
        // The included file is no configuration by itself.
        let shown = load_text(path.as_ref(), text.as_str()).and_then(|loaded| config::effective(&loaded));
        assert!(shown.is_err() || is_valid(&to_json(&shown.unwrap_or_default())), "{name}");
    }
}

/// YAML as JSON, typed by YAML's core rules as editors type it.
fn to_json(text: &str) -> Value {
    use saphyr_parser::{Event, Parser, ScalarStyle};
    enum Open {
        List(Vec<Value>),
        Map(serde_json::Map<String, Value>, Option<String>),
    }
    let mut open = vec![Open::List(Vec::new())];
    for event in Parser::new_from_str(text) {
        let value = match event.expect("YAML").0 {
            Event::Scalar(text, ScalarStyle::Plain, ..) => serde_json::from_str(&text).unwrap_or_else(|_| json!(text)),
            Event::Scalar(text, ..) => json!(text),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(serde_json::Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().expect("one is open") {
                Open::List(items) => Value::Array(items),
                Open::Map(entries, _) => Value::Object(entries),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Alias(_) => {
                continue;
            }
        };
        match open.last_mut().expect("one is open") {
            Open::List(items) => items.push(value),
            Open::Map(entries, key) => match key.take() {
                None => *key = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
                Some(key) => {
                    entries.insert(key, value);
                }
            },
        }
    }
    match open.pop() {
        Some(Open::List(mut items)) => items.pop().expect("a document"),
        _ => panic!("nothing"),
    }
}
