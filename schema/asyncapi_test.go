package schema_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pelton/schema"
)

// asyncDoc is what the tests read of the AsyncAPI description.
type asyncDoc struct {
	Asyncapi string
	Channels map[string]struct {
		Address    *string
		Parameters map[string]any
		Messages   map[string]struct {
			Ref string `yaml:"$ref"`
		}
	}
	Operations map[string]struct {
		Action  string
		Channel struct {
			Ref string `yaml:"$ref"`
		}
	}
	Components struct{ Messages map[string]any }
}

func TestAsyncAPIHasEverySubject(t *testing.T) {
	data, _ := schema.DocumentNamed("asyncapi")
	var doc asyncDoc
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for name, c := range doc.Channels {
		if c.Address != nil {
			addresses[*c.Address] = name
		}
		for message, ref := range c.Messages {
			component, ok := strings.CutPrefix(ref.Ref, "#/components/messages/")
			if _, there := doc.Components.Messages[component]; !ok || !there {
				t.Errorf("channel %s: message %s refers to %s", name, message, ref.Ref)
			}
		}
	}
	var n schema.Names
	q, j := "{queue}", "{job}"
	want := map[string]string{
		n.Jobs(q): "Jobs", strings.Replace(n.Work(q, j, 0), ".0", ".{index}", 1): "Work",
		strings.Replace(n.Result(q, j, 0), ".0", ".{index}", 1): "Result", n.End(q, j): "End",
		strings.Replace(n.Parked(q, j, 0), ".0", ".{index}", 1): "Parked",
		n.Cancel(q, j): "Cancel", n.Progress(q, j): "Progress", n.Stored(q, j): "Stored", n.Listen(q, j): "Listen", n.Workers(): "Workers", n.Held(q, j): "Held",
		strings.Replace(n.Deltas(q, j, 0), ".0", ".{index}", 1): "Deltas",
		strings.Replace(n.Events(q, j, 0), ".0", ".{index}", 1): "Events",
	}
	for _, verb := range []string{"run", "submit", "status", "list", "cancel"} {
		want[n.Service(verb, q)] = "Service"
	}
	for address, function := range want {
		if addresses[address] == "" {
			t.Errorf("no channel has the address %s of Names.%s", address, function)
		}
	}
	if len(addresses) != len(want) {
		t.Errorf("%d addresses, %d subjects", len(addresses), len(want))
	}
	// A new subject function has to be thought of here.
	subjects := 0
	for m := range reflect.TypeOf(n).Methods() {
		switch name := m.Name; name {
		case "Parse", "StateKey", "WorkOf", "WorkIn", "ResultsOf", "ParkedOf", "DeltasOf", "EventsOf": // no subject, or wildcards of one
		default:
			if !strings.HasSuffix(name, "Stream") && !strings.HasSuffix(name, "Bucket") && !strings.HasSuffix(name, "Consumer") {
				subjects++
				if !slices.Contains(slices.Collect(maps.Values(want)), name) {
					t.Errorf("Names.%s is a subject without a channel", name)
				}
			}
		}
	}
	used := map[string]bool{}
	for name, o := range doc.Operations {
		channel := strings.TrimPrefix(o.Channel.Ref, "#/channels/")
		if _, ok := doc.Channels[channel]; !ok || o.Action != "send" && o.Action != "receive" {
			t.Errorf("operation %s: %+v", name, o)
		}
		used[channel] = true
	}
	for name := range doc.Channels {
		if !used[name] && name != "answers" {
			t.Errorf("channel %s has no operation", name)
		}
	}
}

func TestAsyncAPIRefersToSchemasThatExist(t *testing.T) {
	data, _ := schema.DocumentNamed("asyncapi")
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "$ref" && strings.HasPrefix(n.Content[i+1].Value, "json/") {
				file, path, _ := strings.Cut(n.Content[i+1].Value, "#")
				name := strings.TrimSuffix(strings.TrimPrefix(file, "json/"), ".json")
				used[name] = true
				if path != "" {
					path = "#" + path
				}
				compiled(t, name, path)
			}
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	walk(&root)
	for _, d := range schema.Documents() {
		switch d.Name {
		case "asyncapi", "line", "error": // no messages by themselves
		default:
			if !used[d.Name] {
				t.Errorf("no message has the schema %s", d.Name)
			}
		}
	}
}
