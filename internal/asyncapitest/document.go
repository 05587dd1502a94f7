// Package asyncapitest reads docs/asyncapi.yaml for the tests that hold it
// against the code.
package asyncapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Document is docs/asyncapi.yaml.
type Document struct {
	t        testing.TB
	root     any // of maps, slices and json.Number
	compiler *jsonschema.Compiler
}

const base = "file:///docs/"

// Load reads the document, and openapi.json, to which it refers.
func Load(t testing.TB) *Document {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(read(t, "asyncapi.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	d := &Document{t: t, compiler: jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft7) // that of AsyncAPI
	d.root = d.add("asyncapi.yaml", text)
	d.add("openapi.json", read(t, "openapi.json"))
	return d
}

func (d *Document) add(name string, text []byte) any {
	d.t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = d.compiler.AddResource(base+name, doc)
	}
	if err != nil {
		d.t.Fatalf("%s: %v", name, err)
	}
	return doc
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module(), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// module is the folder of go.mod.
func module() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..")
}

// At returns what stands at a path of keys, nil for nothing.
func (d *Document) At(keys ...string) any {
	v := d.root
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// Keys returns the keys of the object at a path, in order.
func (d *Document) Keys(keys ...string) []string {
	m, _ := d.At(keys...).(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// Number returns the number at a path; none fails the test.
func (d *Document) Number(keys ...string) int {
	d.t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(d.At(keys...)))
	if err != nil {
		d.t.Errorf("%s is no number", strings.Join(keys, "."))
	}
	return n
}

// Strings returns the list of strings at a path, in order of the alphabet.
func (d *Document) Strings(keys ...string) []string {
	list, _ := d.At(keys...).([]any)
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	slices.Sort(out)
	return out
}

// Messages returns the types of an operation's messages, in order, after making
// sure that each is one of its channel's, and that of components which it should
// be.
func (d *Document) Messages(channel, operation string) []string {
	d.t.Helper()
	list, _ := d.At("operations", operation, "messages").([]any)
	var names []string
	for _, item := range list {
		ref := fmt.Sprint(item.(map[string]any)["$ref"])
		name, ok := strings.CutPrefix(ref, "#/channels/"+channel+"/messages/")
		component := channel + "." + name
		if !ok || d.At("channels", channel, "messages", name, "$ref") != "#/components/messages/"+component {
			d.t.Errorf("%s: %s leads nowhere", operation, ref)
		}
		if d.At("components", "messages", component, "name") != name ||
			d.At("components", "messages", component, "payload", "properties", "type", "const") != name {
			d.t.Errorf("%s is not called %s", component, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check holds the text of a message against its schema, by the message's key in
// components, as in worker.hello.
func (d *Document) Check(message string, text []byte) error {
	d.t.Helper()
	schema, err := d.compiler.Compile(base + "asyncapi.yaml#/components/messages/" + message + "/payload")
	if err != nil {
		d.t.Fatalf("%s: %v", message, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// Constants returns the values of the string constants of a type in a Go file of
// this module.
func Constants(t testing.TB, file, typeName string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(module(), file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
		return true
	})
	slices.Sort(values)
	return values
}

// FieldsOf returns the names that the fields of a struct have in JSON, in order,
// with those of embedded ones; v points to it.
func FieldsOf(v any) (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(v).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
