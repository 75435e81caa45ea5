package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// source is one file of the module's code.
type source struct {
	inside string // its package
	path   string
	file   *ast.File
}

// sources parses the code of some packages, tests left out; of all with none named.
func sources(t *testing.T, only ...string) []source {
	t.Helper()
	var all []source
	for _, p := range list(t) {
		if len(only) > 0 && !contains(only, p.inside()) {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, source{inside: p.inside(), path: path, file: file})
		}
	}
	if len(all) == 0 {
		t.Fatalf("no code found in %v", only)
	}
	return all
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// constant is a named string constant.
type constant struct{ name, kind, value string }

// constants lists the string constants of a package. The kind is the type that
// is written beside the name, "" for none.
func constants(t *testing.T, inside string) []constant {
	t.Helper()
	var found []constant
	for _, s := range sources(t, inside) {
		for _, declaration := range s.file.Decls {
			g, ok := declaration.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				kind, _ := v.Type.(*ast.Ident)
				for i, value := range v.Values {
					if text, ok := quoted(value); ok && i < len(v.Names) {
						c := constant{name: v.Names[i].Name, value: text}
						if kind != nil {
							c.kind = kind.Name
						}
						found = append(found, c)
					}
				}
			}
		}
	}
	return found
}

// quoted is the value of a string literal.
func quoted(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

// text is the value of a string literal or of a constant of the same package.
func text(e ast.Expr, named []constant) (string, bool) {
	if name, ok := e.(*ast.Ident); ok {
		for _, c := range named {
			if c.name == name.Name {
				return c.value, true
			}
		}
	}
	return quoted(e)
}

// variable finds the composite value of a package variable.
func variable(t *testing.T, inside, name string) *ast.CompositeLit {
	t.Helper()
	for _, s := range sources(t, inside) {
		for _, declaration := range s.file.Decls {
			g, ok := declaration.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if v.Names[0].Name == name && len(v.Values) == 1 {
					if value, ok := v.Values[0].(*ast.CompositeLit); ok {
						return value
					}
				}
			}
		}
	}
	t.Fatalf("%s: no variable %s", inside, name)
	return nil
}

// call is a call of something by a selector: package and name, or receiver and
// method.
type call struct {
	of, name string
	args     []ast.Expr
	source   source
}

func calls(t *testing.T, only ...string) []call {
	t.Helper()
	var found []call
	for _, s := range sources(t, only...) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			c, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			fun := c.Fun
			if generic, ok := fun.(*ast.IndexExpr); ok {
				fun = generic.X
			}
			if selector, ok := fun.(*ast.SelectorExpr); ok {
				of := ""
				if x, ok := selector.X.(*ast.Ident); ok {
					of = x.Name
				}
				found = append(found, call{of: of, name: selector.Sel.Name, args: c.Args, source: s})
			}
			return true
		})
	}
	return found
}
