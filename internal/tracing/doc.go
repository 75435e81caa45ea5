// Package tracing follows one join through the processes: where its time goes,
// in OpenTelemetry's words.
//
// It is off until the configuration names where traces go: a file of the
// installation, or an OTLP endpoint in its own network (OTLP over HTTP with JSON,
// https://opentelemetry.io/docs/specs/otlp/). Nothing leaves otherwise. Spans
// carry ids and codes, never names or anything that a person said.
package tracing
