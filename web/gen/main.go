package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	files, err := Generate(".")
	if err != nil {
		log.Fatalf("generate types: %v: run it from the repository's root", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join("web", "src", "api", name), []byte(text), 0o644); err != nil {
			log.Fatalf("generate types: %v", err)
		}
	}
}

// Generate returns the generated files by name, from the repository at root.
func Generate(root string) (map[string]string, error) {
	words, err := read(root, "interview")
	if err != nil {
		return nil, err
	}
	bodies, err := read(root, "interview/wire")
	if err != nil {
		return nil, err
	}
	signed, err := read(root, "interview/sealing")
	if err != nil {
		return nil, err
	}
	problems, err := read(root, "internal/problem")
	if err != nil {
		return nil, err
	}

	var w strings.Builder
	w.WriteString(head)
	if err := words.ids(&w); err != nil {
		return nil, err
	}
	words.enums(&w)
	problems.enums(&w)
	w.WriteString("/** A moment on the hearing clock: microseconds since the hearing was opened. */\nexport type Micros = number\n\n")
	if err := words.structs(&w, "Check"); err != nil {
		return nil, err
	}
	if err := problems.structs(&w, "Document"); err != nil {
		return nil, err
	}

	var m strings.Builder
	m.WriteString(head)
	m.WriteString("import type * as words from './words'\n\n")
	if err := bodies.structs(&m); err != nil {
		return nil, err
	}
	if err := bodies.messages(&m); err != nil {
		return nil, err
	}

	var s strings.Builder
	s.WriteString(head)
	s.WriteString("import type * as words from './words'\n\n")
	signed.texts(&s)
	if err := signed.structs(&s, signed.tagged()...); err != nil {
		return nil, err
	}
	return map[string]string{"words.ts": w.String(), "wire.ts": m.String(), "signed.ts": s.String()}, nil
}

const head = "// Made from the Go source by web/gen. Do not edit: run `go run ./web/gen`.\n\n"

// source is one Go package as text.
type source struct {
	name  string
	decls []*ast.GenDecl
}

func read(root, folder string) (source, error) {
	names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil || len(names) == 0 {
		return source{}, fmt.Errorf("no Go files in %s", filepath.Join(root, folder))
	}
	sort.Strings(names)
	s := source{name: filepath.Base(folder)}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return source{}, err
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				s.decls = append(s.decls, g)
			}
		}
	}
	return s, nil
}

func (s source) specs(visit func(*ast.GenDecl, *ast.TypeSpec)) {
	for _, d := range s.decls {
		for _, spec := range d.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok {
				visit(d, t)
			}
		}
	}
}

// ids writes each id type as a template of its prefix, read from the Prefix
// methods' types through the one place that names both: interview/ids.go.
func (s source) ids(w *strings.Builder) error {
	found := 0
	s.specs(func(_ *ast.GenDecl, t *ast.TypeSpec) {
		generic, ok := t.Type.(*ast.IndexExpr)
		if !ok || !t.Assign.IsValid() {
			return
		}
		kind := generic.Index.(*ast.Ident).Name
		prefix, ok := prefixes[strings.TrimSuffix(kind, "Kind")]
		found++
		if !ok {
			return // the count below tells
		}
		fmt.Fprintf(w, "/** %s */\nexport type %s = `%s_${string}`\n", strings.TrimSpace(t.Comment.Text()), t.Name.Name, prefix)
	})
	if found != len(prefixes) {
		return fmt.Errorf("%d id types found, %d known: name the new one in prefixes", found, len(prefixes))
	}
	w.WriteString("\n")
	return nil
}

// prefixes of ids by kind, as docs/protocol.md lists them.
var prefixes = map[string]string{
	"case": "cas", "hearing": "hrg", "participant": "par", "seat": "set", "device": "dev", "agreement": "agr",
	"premises": "pre", "leg": "leg", "member": "mem", "group": "grp", "track": "trk", "visit": "vis", "ticket": "tkt",
	"recording": "rec", "utterance": "utt", "amendment": "amd", "record": "rcd", "event": "evt", "note": "nte", "call": "cal", "number": "num",
}

// enums writes string types with the values that their constants name.
func (s source) enums(w *strings.Builder) {
	s.specs(func(d *ast.GenDecl, t *ast.TypeSpec) {
		if base, ok := t.Type.(*ast.Ident); !ok || base.Name != "string" {
			return
		}
		values := s.values(t.Name.Name)
		if len(values) == 0 {
			return
		}
		comment(w, "", doc(d, t))
		name := t.Name.Name
		fmt.Fprintf(w, "export const %s = [%s] as const\n", plural(name), strings.Join(values, ", "))
		fmt.Fprintf(w, "export type %s = (typeof %s)[number]\n\n", name, plural(name))
	})
}

func plural(name string) string {
	name = strings.ToLower(name[:1]) + name[1:]
	return name + "s"
}

// constants visits the string constants of a type, or the untyped ones for "".
func (s source) constants(typ string, visit func(name, value, comment string)) {
	for _, d := range s.decls {
		if d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			is := ""
			if id, ok := v.Type.(*ast.Ident); ok {
				is = id.Name
			}
			if is != typ || len(v.Values) != 1 {
				continue
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				visit(v.Names[0].Name, lit.Value, strings.TrimSpace(v.Comment.Text()))
			}
		}
	}
}

func (s source) values(typ string) (out []string) {
	s.constants(typ, func(_, value, _ string) { out = append(out, quote(value)) })
	return out
}

// texts writes the untyped string constants.
func (s source) texts(w *strings.Builder) {
	s.constants("", func(name, value, _ string) {
		fmt.Fprintf(w, "export const %s = %s\n", strings.ToLower(name[:1])+name[1:], quote(value))
	})
	w.WriteString("\n")
}

// messages writes which body belongs to which message. The first word of each
// Type constant's comment names the body.
func (s source) messages(w *strings.Builder) error {
	known := map[string]bool{}
	s.specs(func(_ *ast.GenDecl, t *ast.TypeSpec) { known[t.Name.Name] = true })
	w.WriteString("/** The body of every message by its type; null has none. */\nexport interface Bodies {\n")
	var bad error
	s.constants("Type", func(name, value, comment string) {
		word := strings.TrimRight(strings.SplitN(comment, " ", 2)[0], ":;,")
		body := "null"
		switch {
		case word == "problem.Document":
			body = "words.Document"
		case known[word]:
			body = word
		case word == "" || strings.ToLower(word[:1]) != word[:1]:
			bad = fmt.Errorf("comment of wire.%s names no body: %q", name, comment)
		}
		fmt.Fprintf(w, "  %s: %s\n", quote(value), body)
	})
	w.WriteString("}\n\nexport type MessageType = keyof Bodies\n\n")
	s.constants("", func(name, value, _ string) {
		if name == "Protocol" {
			fmt.Fprintf(w, "/** The WebSocket subprotocol's name. */\nexport const protocol = %s\n", quote(value))
		}
	})
	return bad
}

// tagged names the struct types that travel: those with a json tag.
func (s source) tagged() (names []string) {
	s.specs(func(_ *ast.GenDecl, t *ast.TypeSpec) {
		if st, ok := t.Type.(*ast.StructType); ok && len(st.Fields.List) > 0 && st.Fields.List[0].Tag != nil {
			names = append(names, t.Name.Name)
		}
	})
	return names
}

// structs writes the named struct types, or all tagged ones but the envelope.
func (s source) structs(w *strings.Builder, only ...string) error {
	want := map[string]bool{}
	if only == nil {
		only = s.tagged()
	}
	for _, n := range only {
		want[n] = n != "Message"
	}
	var bad error
	s.specs(func(d *ast.GenDecl, t *ast.TypeSpec) {
		st, ok := t.Type.(*ast.StructType)
		if !ok || !want[t.Name.Name] {
			return
		}
		comment(w, "", doc(d, t))
		fmt.Fprintf(w, "export interface %s {\n", t.Name.Name)
		for _, f := range st.Fields.List {
			if f.Tag == nil {
				bad = fmt.Errorf("%s.%s: field %v has no json name", s.name, t.Name.Name, f.Names)
				return
			}
			tag, _ := strconv.Unquote(f.Tag.Value)
			name, opts, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			typ, err := s.typescript(f.Type)
			if err != nil {
				bad = fmt.Errorf("%s.%s.%s: %w", s.name, t.Name.Name, name, err)
				return
			}
			comment(w, "  ", strings.TrimSpace(f.Comment.Text()))
			if strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero") {
				name += "?"
			}
			fmt.Fprintf(w, "  %s: %s\n", name, typ)
		}
		w.WriteString("}\n\n")
	})
	return bad
}

// typescript gives a Go type's TypeScript. A list may be null: that is how Go
// writes one that is empty.
func (s source) typescript(e ast.Expr) (string, error) {
	switch t := e.(type) {
	case *ast.Ident:
		switch t.Name {
		case "string":
			return "string", nil
		case "bool":
			return "boolean", nil
		case "int", "int64", "uint8":
			return "number", nil
		}
		return t.Name, nil
	case *ast.SelectorExpr:
		if t.X.(*ast.Ident).Name != "interview" {
			return "", fmt.Errorf("type of package %s has no TypeScript here", t.X.(*ast.Ident).Name)
		}
		return "words." + t.Sel.Name, nil
	case *ast.ArrayType:
		of, err := s.typescript(t.Elt)
		return of + "[] | null", err
	}
	return "", fmt.Errorf("type %T has no TypeScript here", e)
}

func doc(d *ast.GenDecl, t *ast.TypeSpec) string {
	if t.Doc != nil {
		return strings.TrimSpace(t.Doc.Text())
	}
	return strings.TrimSpace(d.Doc.Text())
}

func comment(w *strings.Builder, indent, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(w, "%s/** %s */\n", indent, strings.ReplaceAll(text, "\n", "\n"+indent+" * "))
}

func quote(goLiteral string) string {
	v, err := strconv.Unquote(goLiteral)
	if err != nil {
		return goLiteral
	}
	return "'" + v + "'"
}
