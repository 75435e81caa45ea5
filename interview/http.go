package interview

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/store"
)

// MaxBody bounds a request body in bytes, unless an operation says otherwise.
const MaxBody = 256 << 10

var oneShape sync.Once

// NewAPI makes the HTTP interface that all rooms register their operations on.
// Every error it answers, its own included, is one shape of document
// (internal/problem). It serves no documentation pages: those would load from
// outside the installation.
func NewAPI(mux *http.ServeMux) huma.API {
	oneShape.Do(func() { huma.NewError = fromHuma })
	cfg := huma.DefaultConfig("Kuule", "1")
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	format := huma.Format{
		Marshal:   func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
		Unmarshal: canon.Strict,
	}
	// "json" stands for every media type that ends in +json.
	cfg.Formats = map[string]huma.Format{"application/json": format, "json": format}
	cfg.RejectUnknownQueryParameters = true
	return humago.New(mux, cfg)
}

// schemaName puts the package's name before the type's, so that two rooms may
// use the same word.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if pkg := path.Base(t.PkgPath()); t.PkgPath() != "" && t.Name() != "" {
		return strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
	return name
}

// Handle registers an operation for those whom the access table names, before
// a byte of the body is read. It panics when the table does not know the route:
// a route nobody decided on must not exist.
func Handle[I, O any](api huma.API, op huma.Operation, serve func(context.Context, Caller, *I) (*O, error)) {
	route := op.Method + " " + op.Path
	if _, ok := access[route]; !ok {
		panic("route " + route + " is not in the access table (interview/access.go)")
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = MaxBody
	}
	op.BodyReadTimeout = 10 * time.Second
	op.Middlewares = append(huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		caller, _ := CallerFrom(ctx.Context())
		if err := Allowed(route, caller, time.Now()); err != nil {
			_, w := humago.Unwrap(ctx)
			problem.Write(w, err)
			return
		}
		ctx.SetHeader("Cache-Control", "no-store")
		next(ctx)
	}}, op.Middlewares...)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		caller, _ := CallerFrom(ctx)
		out, err := serve(ctx, caller, in)
		if err != nil {
			return nil, toHTTP(ctx, route, err)
		}
		return out, nil
	})
}

// answer is a problem document as huma writes it.
type answer struct{ problem.Document }

// Error implements error.
func (a *answer) Error() string { return string(a.Code) + ": " + a.Detail }

// GetStatus implements huma.StatusError.
func (a *answer) GetStatus() int { return a.Status }

// ContentType implements huma.ContentTypeFilter.
func (a *answer) ContentType(string) string { return "application/problem+json" }

func toHTTP(ctx context.Context, route string, err error) error {
	if errors.Is(err, store.ErrConflict) {
		err = problem.New(problem.CodeConflict, "%w", store.ErrConflict)
	}
	doc := problem.Of(err)
	if doc.Code == problem.CodeInternal {
		slog.ErrorContext(ctx, "request failed", "route", route, "error", err)
	}
	return &answer{doc}
}

// fromHuma turns what huma itself finds wrong into the one shape. Values that
// were sent stay out of it: they may be personal.
func fromHuma(status int, message string, errs ...error) huma.StatusError {
	code := problem.CodeMalformed
	switch {
	case status == http.StatusRequestEntityTooLarge:
		code = problem.CodeTooLarge
	case status == http.StatusRequestTimeout:
		code = problem.CodeStalled
	case status >= http.StatusInternalServerError:
		code = problem.CodeInternal
		slog.Error("answer could not be made", "message", message, "error", errors.Join(errs...))
		message = ""
	}
	places := []string{message}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if code != problem.CodeMalformed || !errors.As(err, &d) {
			continue
		}
		detail := d.ErrorDetail()
		places = append(places, strings.TrimSpace(detail.Location+" "+detail.Message))
		if len(places) > 8 {
			break
		}
	}
	doc := problem.Of(problem.New(code, "%s", strings.Join(places, "; ")))
	if code == problem.CodeInternal {
		doc.Detail = ""
	}
	return &answer{doc}
}
